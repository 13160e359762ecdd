/** Credentials: their secrets are shown once, and one takes the place of another without a break. */

import { GOOD, REFUSED, probe } from './support/backend.js';
import { choose, confirm, dialog, expectToast, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('./support/backend.js').Credential} Credential */

/**
 * Reads what is shown once, and closes it.
 * @param {Page} page
 * @returns {Promise<Credential>}
 */
async function keepCredential(page) {
  const shown = dialog(page, 'The new credential');
  const codes = shown.getByRole('code');
  await expect(codes).toHaveCount(2);
  const [token, secret] = await codes.allTextContents();
  await shown.getByRole('button', { name: 'I have saved it' }).click();
  await expect(shown).toBeHidden();
  return { token, secret };
}

test('the secret of a new credential is shown once, works, and is nowhere to be found afterwards', async ({
  page,
  server,
}) => {
  const { id } = await tenant(server);
  await open(page, server, 'credentials', { rp: id });
  await expect(page.getByText('No credentials yet')).toBeVisible();
  await page.getByRole('button', { name: 'Create credential' }).first().click();
  await dialog(page).getByLabel('Kind').selectOption('Server');
  await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
  await page.keyboard.press('Escape');
  await expect(dialog(page, 'The new credential')).toContainText('The secret is shown only now.');
  const credential = await keepCredential(page);
  await expect(row(page, 'Server')).toContainText('Active');
  expect(await page.content()).not.toContain(credential.secret);
  await page.reload();
  await expect(row(page, 'Server')).toContainText('Active');
  expect(await page.content()).not.toContain(credential.secret);
  expect(await probe(server, credential)).toBe(GOOD);
});

test('a credential is rotated without a break: both work until the old one is disabled, which then is refused', async ({
  page,
  server,
}) => {
  const { id, admin } = await tenant(server);
  /** @type {Credential & {id: string}} */
  const old = await admin('credentials', 'create', 'server');
  await open(page, server, 'credentials', { rp: id });
  await choose(row(page, 'Server'), 'Rotate');
  await dialog(page).getByRole('button', { name: 'Create new credential' }).click();
  const successor = await keepCredential(page);
  await expect(row(page, 'Server')).toHaveCount(2);
  expect(await probe(server, successor)).toBe(GOOD);
  expect(await probe(server, old)).toBe(GOOD);

  const oldRow = page
    .getByRole('row')
    .filter({ has: page.getByRole('button', { name: `Actions on Server credential ${old.id}` }) });
  await choose(oldRow, 'Disable');
  await confirm(page, 'Disable');
  await expectToast(page, 'Disabled');
  await expect(row(page, 'Disabled')).toHaveCount(1);
  await expect(row(page, 'Disabled').getByRole('button', { name: /^Actions/ })).toHaveCount(0);
  await expect.poll(() => probe(server, old), { timeout: 31_000 }).toBe(REFUSED);
  expect(await probe(server, successor)).toBe(GOOD);
});

test('a credential has a name, which can be changed, and says when it was last used', async ({ page, server }) => {
  const { id } = await tenant(server);
  await open(page, server, 'credentials', { rp: id });
  await page.getByRole('button', { name: 'Create credential' }).first().click();
  await dialog(page).getByLabel('Name').fill('Shop backend');
  await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
  const credential = await keepCredential(page);
  await expect(row(page, 'Shop backend')).toContainText('Not yet');
  expect(await probe(server, credential)).toBe(GOOD);
  await expect(async () => {
    await page.reload();
    await expect(row(page, 'Shop backend')).toContainText('In the last hour', { timeout: 1000 });
  }).toPass();
  await choose(row(page, 'Shop backend'), 'Rename');
  await dialog(page).getByLabel('Name').fill('Old backend');
  await confirm(page, 'Save');
  await expect(row(page, 'Old backend')).toContainText('Server');
  await page.getByRole('button', { name: 'Search' }).click();
  await dialog(page).getByRole('searchbox').fill('old back');
  await expect(dialog(page).getByRole('link', { name: /^Credential ?Old backend/ })).toBeVisible();
});

test('a mobile credential registers phones and asks nobody', async ({ page, server }, info) => {
  const { id } = await tenant(server);
  await open(page, server, 'credentials', { rp: id });
  await page.getByRole('button', { name: 'Create credential' }).first().click();
  await dialog(page).getByLabel('Kind').selectOption('Mobile');
  await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
  const credential = await keepCredential(page);
  await expect(row(page, 'Mobile')).toContainText('Active');
  expect(await probe(server, credential)).toBe(REFUSED);
  const options = ['--mobile-token', credential.token, '--mobile-secret', credential.secret];
  const phone = await server.phone(...options, '--key', info.outputPath('phone.json'), 'enrol');
  expect(phone.is_active).toBe(false);
});

test('who changes their mind makes no credential', async ({ page, server }) => {
  const { id } = await tenant(server);
  await open(page, server, 'credentials', { rp: id });
  const create = page.getByRole('button', { name: 'Create credential' }).first();
  await create.click();
  await dialog(page).getByRole('button', { name: 'Cancel' }).click();
  await expect(create).toBeFocused();
  await create.click();
  await page.keyboard.press('Escape');
  await expect(dialog(page)).toBeHidden();
  await expect(page.getByText('No credentials yet')).toBeVisible();
});
