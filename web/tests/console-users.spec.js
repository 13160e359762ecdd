/** Users and their devices: found, looked at, ended. */

import { account, ask, heading, openPhone } from './support/acme.js';
import { acme, confirm, dialog, expectToast, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

/**
 * Does what a button asks about first.
 * @param {Page} page
 * @param {string} button
 * @param {string} submit
 */
async function act(page, button, submit) {
  await page.getByRole('button', { name: button, exact: true }).click();
  await confirm(page, submit);
}

test('a user is found with their devices: keys, binding, and when they were last seen', async ({ page, server }) => {
  const shop = await tenant(server);
  const { device } = await shop.enrol('ada@example.com');
  await open(page, server, 'users', { rp: shop.id });
  await page.getByRole('link', { name: 'ada@example.com' }).click();
  const main = page.getByRole('main');
  await expect(main.getByRole('heading', { level: 2 })).toHaveText([
    'ada@example.com',
    'Prompts',
    'ada@example.com’s phone',
  ]);
  await expect(main.getByText('Active', { exact: true })).toBeVisible();
  await expect(main.getByText(device)).toBeVisible();
  await expect(main.getByText('Device key P-256')).toBeVisible();
  await expect(main.getByText('Fingerprint or face P-256')).toBeVisible();
  await expect(main.getByText('signed by the device key: it certifies the presence keys')).toBeVisible();
  await expect(main.getByText('none: the app has to be open')).toBeVisible();
  await page.reload();
  await expect(main.getByText(device)).toBeVisible();
});

test('users are listed by their identifiers and filtered by how these begin', async ({ page, server }) => {
  const shop = await tenant(server);
  for (const user of ['ada', 'adele', 'grace']) await shop.enrol(user);
  await open(page, server, 'users', { rp: shop.id });
  const names = page.getByRole('table', { name: 'Users' }).getByRole('rowheader');
  await expect(names).toHaveText(['ada', 'adele', 'grace']);
  await expect(row(page, 'grace')).toContainText('Active');
  await page.getByLabel('Identifier begins with').fill('ad');
  await page.keyboard.press('Enter');
  await expect(names).toHaveText(['ada', 'adele']);
  await page.reload();
  await expect(names).toHaveText(['ada', 'adele']);
});

test('a device links to its user', async ({ page, server }) => {
  const shop = await tenant(server);
  const { device } = await shop.enrol('ada');
  await open(page, server, 'users', { rp: shop.id });
  await page.getByRole('link', { name: 'Devices', exact: true }).click();
  await expect(row(page, 'ada’s phone')).toContainText('Registered');
  await page.getByRole('link', { name: 'ada’s phone' }).click();
  await expect(heading(page, 'Users and devices')).toBeFocused();
  await expect(page.getByText(device)).toBeVisible();
  await page.getByRole('link', { name: 'ada', exact: true }).click();
  await expect(page.getByRole('heading', { level: 2, name: 'ada', exact: true })).toBeVisible();
});

test('a user nobody has heard of has no device, which is said', async ({ page, server }) => {
  const shop = await tenant(server);
  await shop.enrol('ada');
  await open(page, server, 'users', { rp: shop.id, user: 'Ada' });
  await expect(page.getByText('Unknown user')).toBeVisible();
  await page.getByRole('main').getByRole('link', { name: 'All users' }).first().click();
  await expect(row(page, 'ada')).toBeVisible();
});

test('a device that was lost is retired: its phone is told so, and nobody is asked there', async ({
  page,
  elsewhere: phone,
  server,
}) => {
  const user = await openPhone(phone, server);
  await open(page, server, 'users', { rp: await acme(server), user });
  await page.getByRole('button', { name: 'Retire device' }).click();
  await expect(dialog(page)).toContainText('Its keys are revoked immediately and permanently');
  await confirm(page, 'Retire');
  await expectToast(page, 'Retired');
  await expect(page.getByText('Retired', { exact: true }).first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Retire device' })).toHaveCount(0);
  await phone.reload();
  await expect(account(phone, user, 'Removed')).toBeVisible();
  await expect(ask(server, user, 'log in')).rejects.toThrow();
});

test('a device that waits for it is activated, and its binding ended', async ({ page, server }) => {
  const shop = await tenant(server);
  const { device } = await shop.register('ada');
  await shop.admin('bindings', 'create', '--user', 'ada', `--device=${device}`);
  await expect(shop.ask('ada', 'log in')).rejects.toThrow('USER_HAS_NO_ACTIVE_DEVICE');
  await open(page, server, 'users', { rp: shop.id, user: 'ada' });
  await expect(page.getByText('Waiting for activation')).toBeVisible();
  await act(page, 'Activate', 'Activate');
  await expect(page.getByRole('main').getByText('Active', { exact: true })).toBeVisible();
  await shop.ask('ada', 'log in');
  await act(page, 'Deactivate binding', 'Deactivate');
  await expect(page.getByRole('main').getByText('Deactivated', { exact: true }).first()).toBeVisible();
  await expect(shop.ask('ada', 'log in')).rejects.toThrow('USER_HAS_NO_ACTIVE_DEVICE');
});

test('a test prompt is sent to a user after a confirmation, and noted in the audit log', async ({ page, server }) => {
  const shop = await tenant(server);
  const { answer } = await shop.enrol('ada');
  await open(page, server, 'users', { rp: shop.id, user: 'ada' });
  await act(page, 'Send test prompt', 'Send test prompt');
  await expect(heading(page, 'test')).toBeVisible();
  await expect(page.getByText('Waiting for the answer')).toBeVisible();
  await answer('accept');
  await expect(page.getByText('Phone (level 1)').first()).toBeVisible();
  await open(page, server, 'audit', { method: 'CreateTrusonafication', 'relying-party': shop.id });
  await expect(row(page, 'CreateTrusonafication').filter({ hasText: 'First owner' })).toContainText('OK');
});

test('the identity documents of a user are shown, and what a verification found is recorded', async ({
  page,
  server,
}) => {
  const shop = await tenant(server);
  const { device } = await shop.enrol('ada');
  await shop.admin('documents', 'register', '--', device, '9f86d081884c7d65');
  await open(page, server, 'users', { rp: shop.id, user: 'ada' });
  const documents = page.getByRole('region', { name: 'Identity documents' });
  await expect(documents.getByRole('listitem')).toContainText('Driver’s license (US, Canada)');
  await expect(documents.getByRole('listitem')).toContainText('Not verified');
  await documents.getByRole('button', { name: 'Set verification' }).click();
  await dialog(page).getByLabel('Result').selectOption('Verified');
  await confirm(page, 'Save');
  await expectToast(page, 'Saved');
  await expect(documents.getByText('Verified', { exact: true })).toBeVisible();
});

test('a user who may have lost a phone is frozen, with a note, and released again', async ({ page, server }) => {
  const shop = await tenant(server);
  await shop.enrol('ada');
  await open(page, server, 'users', { rp: shop.id, user: 'ada' });
  await page.getByRole('button', { name: 'Freeze', exact: true }).click();
  await dialog(page).getByLabel('Note').fill('lost her phone, ticket 4711');
  await confirm(page, 'Freeze');
  await expectToast(page, 'Frozen');
  const frozen = page.getByRole('region', { name: 'Frozen' });
  await expect(frozen).toContainText('an operator');
  await expect(frozen).toContainText('lost her phone, ticket 4711');
  await expect(shop.ask('ada', 'log in')).rejects.toThrow('USER_FROZEN');
  expect(await shop.admin('users', 'show', 'ada')).toMatchObject({
    devices: 1,
    frozen: true,
    frozen_by: 'operator',
    note: 'lost her phone, ticket 4711',
  });
  await act(page, 'Release', 'Release');
  await expectToast(page, 'Released');
  await expect(frozen).toHaveCount(0);
  await shop.ask('ada', 'log in');
  expect(await shop.admin('users', 'freeze', '--yes', 'ada')).toMatchObject({ frozen: true, note: null });
  await page.reload();
  await expect(page.getByRole('button', { name: 'Release', exact: true })).toBeVisible();
  expect(await shop.admin('users', 'release', 'ada')).toMatchObject({ frozen: false, frozen_at: null });
});

test('a user who has left is deactivated with every device', async ({ page, server }) => {
  const shop = await tenant(server);
  const { device } = await shop.enrol('ada');
  await open(page, server, 'users', { rp: shop.id, user: 'ada' });
  await act(page, 'Deactivate user', 'Deactivate');
  await expectToast(page, 'Deactivated');
  await expect(page.getByText('Retired')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Deactivate user' })).toHaveCount(0);
  expect(await shop.admin('devices', 'show', '--', device)).toMatchObject({ retired: true });
});

test('it is seen how often others may prompt a user; a hold is released, and a pause ended', async ({
  page,
  server,
}) => {
  const shop = await tenant(server);
  await shop.admin('relying-parties', 'update', '--tolerant-prompts', 'false');
  const { answer } = await shop.enrol('ada');
  await shop.ask('ada', 'log in', '--context', 'session/1');
  await answer('not-me');
  await open(page, server, 'users', { rp: shop.id, user: 'ada' });
  const prompts = page.getByRole('region', { name: 'Prompts' });
  await expect(prompts.getByText('Paused')).toBeVisible();
  await expect(prompts.getByRole('definition').first()).toHaveText('1');
  const hold = prompts.getByRole('listitem');
  await expect(hold).toContainText('session/1');
  await act(page, 'Release', 'Release');
  await expectToast(page, 'Released');
  await expect(hold).toHaveCount(0);
  await expect(shop.ask('ada', 'log in')).rejects.toThrow(/PROMPT_BUDGET_EXHAUSTED/);
  await act(page, 'End the pause', 'End the pause');
  await expectToast(page, 'Ended');
  await expect(prompts.getByText('Paused')).toHaveCount(0);
  await shop.ask('ada', 'log in', '--context', 'session/1');
});
