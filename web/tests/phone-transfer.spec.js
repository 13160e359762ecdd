/** A new phone takes the place of an old one, or comes beside it. */

import { existsSync } from 'node:fs';

import { HANDHELD, accept, account, ask, heading, openPhone, statuses, touch } from './support/acme.js';
import { expect, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('./support/server.js').Server} Server */

test.use({ viewport: HANDHELD });

/**
 * Opens a new phone, and reads the code that it shows.
 * @param {Page} phone
 * @param {Server} server
 * @param {string} user
 * @returns {Promise<string>}
 */
async function newPhone(phone, server, user) {
  await phone.goto(`${server.url}/demo/phone`);
  await phone.getByLabel('Your name there').fill(user);
  await phone.getByRole('button', { name: 'I already have a phone there' }).click();
  await expect(phone.getByRole('img', { name: 'Code for your old phone' })).toBeVisible();
  return phone.getByRole('code').innerText();
}

/**
 * @param {Page} phone
 * @param {string} text
 */
async function scan(phone, text) {
  await phone.getByRole('button', { name: 'Scan a code' }).click();
  await phone.getByLabel('Or paste its text').fill(text);
  await phone.getByRole('button', { name: 'Use' }).click();
}

test('a new phone takes the place of the old one, which answers no more', async ({ page, elsewhere, server }) => {
  const user = await openPhone(page, server);
  await scan(page, await newPhone(elsewhere, server, user));
  await expect(heading(page, 'Move to a new phone?')).toBeVisible();
  await expect(page.getByText('Anyone who has it can answer as you.')).toBeVisible();
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByText('Move to the new phone')).toBeVisible();
  await touch(page);
  await expect(heading(page, 'Moved to the new phone')).toBeVisible();
  await page.getByRole('button', { name: 'OK' }).click();
  await expect(heading(page, 'Set up this phone')).toBeVisible();
  await expect(heading(elsewhere, 'This phone is set up')).toBeVisible();
  await elsewhere.getByRole('button', { name: 'OK' }).click();
  await expect(account(elsewhere, user, 'Ready')).toBeVisible();
  await ask(server, user, 'open the door');
  await accept(elsewhere);
  await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
  const { items } = await server.admin('bindings', 'list', '--user', user);
  const [now, before] = items;
  expect([now.state, before.state, now.vouched_by]).toEqual(['active', 'deactivated', before.device_identifier]);
});

test('an attempt to show a code that fails ends as a whole, and the next is the only one', async ({ page, server }) => {
  let [isDown, challenges, looks] = [true, 0, 0];
  await page.clock.install();
  // The first is for the registration.
  await page.route('**/api/v2/device_challenges', (route) => {
    challenges += 1;
    const isRefused = isDown && challenges > 1;
    return isRefused ? route.fulfill({ status: 400, json: { error: 'NO', description: 'no' } }) : route.continue();
  });
  await page.route('**/status', (route) => {
    looks += 1;
    return route.continue();
  });
  await page.goto(`${server.url}/demo/phone`);
  await page.getByLabel('Your name there').fill(`again-${Date.now()}`);
  await page.getByRole('button', { name: 'I already have a phone there' }).click();
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  const before = looks;
  await page.clock.fastForward(10_000);
  await page.evaluate(() => fetch('/readyz'));
  expect(looks).toBe(before);
  isDown = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('img', { name: 'Code for your old phone' })).toBeVisible();
});

test('who does not prove their presence has moved nothing', async ({ page, elsewhere, server }) => {
  const user = await openPhone(page, server);
  await scan(page, await newPhone(elsewhere, server, user));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(heading(page, 'Move to a new phone?')).toBeVisible();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(account(page, user, 'Ready')).toBeVisible();
  const { items } = await server.admin('bindings', 'list', '--user', user);
  expect(items).toHaveLength(1);
});

test('a second phone comes beside the first where the site allows it', async ({ page, elsewhere, server }) => {
  const user = await openPhone(page, server);
  const shown = await newPhone(elsewhere, server, user);
  const add = async () => {
    await page.getByLabel('It stays, and both phones answer').check();
    await page.getByRole('button', { name: 'Continue' }).click();
    await touch(page);
  };
  await scan(page, shown);
  await add();
  await expect(page.getByText('This site does not let phones add other phones.')).toBeVisible();
  await server.admin('relying-parties', 'update', '--phones-add-phones', 'true');
  await page.getByRole('button', { name: 'Try again' }).click();
  await add();
  await expect(heading(page, 'The other phone is set up')).toBeVisible();
  await page.getByRole('button', { name: 'OK' }).click();
  await expect(heading(elsewhere, 'This phone is set up')).toBeVisible();
  await elsewhere.getByRole('button', { name: 'OK' }).click();
  for (const phone of [page, elsewhere]) {
    await ask(server, user, 'open the door');
    await accept(phone);
  }
  await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED', 'ACCEPTED']);
});

test('a new phone that was put away shows its code again', async ({ page, elsewhere, server }) => {
  const user = await openPhone(page, server);
  await newPhone(elsewhere, server, user);
  await elsewhere.reload();
  await account(elsewhere, user, 'Not active').click();
  await elsewhere.getByRole('button', { name: 'Move from my old phone' }).click();
  await scan(page, await elsewhere.getByRole('code').innerText());
  await page.getByRole('button', { name: 'Continue' }).click();
  await touch(page);
  await expect(heading(elsewhere, 'This phone is set up')).toBeVisible();
});

test('a name whose last phone is gone is nobody else’s to take', async ({ page, elsewhere, server }) => {
  const user = await openPhone(page, server);
  await account(page, user, 'Ready').click();
  await page.getByRole('button', { name: 'Remove this account' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(heading(page, 'Set up this phone')).toBeVisible();
  await elsewhere.goto(`${server.url}/demo/phone`);
  const name = elsewhere.getByLabel('Your name there');
  await name.fill(user);
  await elsewhere.getByRole('button', { name: 'Join Acme Bank' }).click();
  await expect(name).toHaveAccessibleDescription(/^The name grace\d+ is taken/);
});

test('phones on the command line do the same', async ({ server }, info) => {
  const [before, now] = ['old.json', 'new.json'].map((name) => info.outputPath(name));
  const [old, fresh] = [await server.phone('--key', before, 'enrol'), await server.phone('--key', now, 'enrol')];
  const binding = await server.admin('bindings', 'create', '--user', 'ada', `--device=${old.device_identifier}`);
  await server.admin('bindings', 'activate', binding.id);
  const { code } = await server.phone('--key', now, 'transfer', 'code');
  expect(await server.phone('--key', before, 'transfer', 'to', code)).toMatchObject({
    device_identifier: fresh.device_identifier,
    vouched_by: old.device_identifier,
    is_active: true,
    act: 'replace',
  });
  expect([existsSync(before), existsSync(now)]).toEqual([false, true]);
  expect(await server.phone('--key', now, 'status')).toMatchObject({ is_active: true });
});
