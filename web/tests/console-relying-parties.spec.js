/** Relying parties: made, named, set up, ended. */

import { heading } from './support/acme.js';
import { GOOD, REFUSED, probe } from './support/backend.js';
import { confirmTwice, dialog, expectToast, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

/**
 * What chooses the relying party, named by the one that is chosen.
 * @param {Page} page
 * @param {string} name
 */
function chooser(page, name) {
  return page.getByRole('banner').getByRole('button', { name, exact: true });
}

/**
 * Saves a form of the settings.
 * @param {Page} page
 * @param {string} name
 */
async function save(page, name) {
  await page.getByRole('form', { name }).getByRole('button', { name: 'Save' }).click();
}

test('the settings show which apps open the links of the relying party', async ({ page, server }) => {
  const shop = await tenant(server);
  await open(page, server, 'settings', { rp: shop.id });
  const card = page.locator('section').filter({ has: page.getByRole('heading', { name: 'App links' }) });
  await expect(card).toContainText('None configured. Links open in the browser.');
  const app = `com.example.app=${'AB:'.repeat(31)}CD`;
  const host = `${shop.id}.example.com`;
  await shop.admin('app-links', 'set', host, '--android', app, '--apple', 'TEAMID1234.com.example.app');
  await page.reload();
  for (const shown of [host, 'com.example.app', 'TEAMID1234.com.example.app']) await expect(card).toContainText(shown);
});

test('a relying party is created, and its credentials come next', async ({ page, server }) => {
  await open(page, server, 'relying-parties');
  await page.getByRole('button', { name: 'Create relying party' }).click();
  const asked = dialog(page, 'Create a relying party');
  await expect(asked.getByLabel('Name')).toBeFocused();
  await asked.getByRole('button', { name: 'Create' }).click();
  await expect(asked.getByLabel('Name')).toHaveAccessibleDescription(/must not be blank/);
  await asked.getByLabel('Name').fill('Bäckerei Köhler');
  await page.keyboard.press('Enter');
  await expectToast(page, 'Created. Next, create its credentials.');
  await expect(heading(page, 'Credentials')).toBeFocused();
  await expect(chooser(page, 'Bäckerei Köhler')).toBeVisible();
  await expect(page).toHaveTitle('Credentials · Bäckerei Köhler · Nodkey');
  await page.getByRole('link', { name: 'Relying parties' }).click();
  await expect(row(page, 'Bäckerei Köhler')).toContainText('Active');
});

test('a relying party is renamed, everywhere and for good', async ({ page, server }) => {
  const { id, name } = await tenant(server);
  await open(page, server, 'settings', { rp: id });
  const field = page.getByLabel('Name', { exact: true });
  await expect(field).toHaveValue(name);
  await field.fill(`${name} plc`);
  await save(page, 'General');
  await expectToast(page, 'Saved');
  await expect(chooser(page, `${name} plc`)).toBeVisible();
  await page.reload();
  await expect(field).toHaveValue(`${name} plc`);
  await expect(chooser(page, `${name} plc`)).toBeVisible();
});

test('what holds for its secure QR codes is changed, and what is wrong with it is said beside the field', async ({
  page,
  server,
}) => {
  const { id, admin } = await tenant(server);
  await open(page, server, 'settings', { rp: id });
  const origins = page.getByLabel('Allowed origins');
  const digits = page.getByRole('checkbox', { name: /^The user confirms two digits/ });
  await origins.fill('https://shop.example.com/path');
  await save(page, 'Secure QR codes');
  await expect(origins).toHaveAccessibleDescription(/must be/);
  await expect(origins).toBeFocused();
  await origins.fill('https://shop.example.com\nhttps://www.example.com');
  await digits.check();
  await save(page, 'Secure QR codes');
  await expectToast(page, 'Saved');
  await page.reload();
  await expect(origins).toHaveValue('https://shop.example.com\nhttps://www.example.com');
  await expect(digits).toBeChecked();
  expect(await admin('relying-parties', 'show', id)).toMatchObject({
    allowed_origins: ['https://shop.example.com', 'https://www.example.com'],
    match_number: true,
  });
});

test('how people may be prompted is changed', async ({ page, server }) => {
  const { id, admin } = await tenant(server);
  await open(page, server, 'settings', { rp: id });
  await page.getByRole('checkbox', { name: /^No prompt limits/ }).uncheck();
  await page.getByRole('checkbox', { name: /^Require six digits for number matching/ }).check();
  await save(page, 'Prompts');
  await expectToast(page, 'Saved');
  await page.reload();
  await expect(page.getByRole('checkbox', { name: /^No prompt limits/ })).not.toBeChecked();
  expect(await admin('relying-parties', 'show', id)).toMatchObject({
    tolerant_prompts: false,
    allow_unprompted: false,
    require_six_digits: true,
  });
});

test('what is put up with in signatures is changed', async ({ page, server }) => {
  const { id, admin } = await tenant(server);
  await open(page, server, 'settings', { rp: id });
  const skew = page.getByLabel('Maximum clock difference of a request, in seconds');
  await skew.fill('100000');
  await save(page, 'Request signatures');
  await expect(skew).toHaveAccessibleDescription(/must be/);
  await skew.fill('60');
  await page.getByRole('checkbox', { name: /first 256 bytes/ }).uncheck();
  await page.getByRole('checkbox', { name: /requests that change something/ }).check();
  await save(page, 'Request signatures');
  await expectToast(page, 'Saved');
  expect(await admin('relying-parties', 'show', id)).toMatchObject({
    max_date_skew_seconds: 60,
    refuse_repeated: true,
    refuse_truncated_body: false,
    refuse_unescaped_path: true,
  });
});

test('what is left to phones is changed', async ({ page, server }) => {
  const { id, admin } = await tenant(server);
  await open(page, server, 'settings', { rp: id });
  await page.getByRole('checkbox', { name: /^Refuse transfers from a phone/ }).check();
  await page.getByRole('checkbox', { name: /^A phone may add another phone/ }).check();
  await save(page, 'Phones');
  await expectToast(page, 'Saved');
  expect(await admin('relying-parties', 'show', id)).toMatchObject({ refuse_transfers: true, phones_add_phones: true });
});

test('a relying party is disabled by who enters its name, and its credentials are refused from then on', async ({
  page,
  server,
  confirmOnPhone,
}) => {
  const { id, name, admin } = await tenant(server);
  // What was used may be good for 30 seconds more; the other one shows the end at once.
  const [used, unused] = [
    await admin('credentials', 'create', 'server'),
    await admin('credentials', 'create', 'server'),
  ];
  expect(await probe(server, used)).toBe(GOOD);
  await open(page, server, 'settings', { rp: id });
  await page.getByRole('button', { name: 'Disable' }).click();
  const asked = dialog(page, `Disable ${name}?`);
  const field = asked.getByLabel('To confirm, enter its name');
  await field.fill('Shop');
  await asked.getByRole('button', { name: 'Disable' }).click();
  await expect(field).toHaveAccessibleDescription(`must be ${name}`);
  await field.fill(name);
  await confirmTwice(page, 'Disable', confirmOnPhone);
  await expect(page.getByRole('form', { name: 'General' }).getByText('Disabled')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Disable this relying party' })).toHaveCount(0);
  expect(await probe(server, unused)).toBe(REFUSED);
  await open(page, server, 'relying-parties');
  await expect(row(page, name)).toContainText('Disabled');
});

test('another relying party is chosen in the header: the same list, none of the filters', async ({ page, server }) => {
  const [one, other] = [await tenant(server), await tenant(server)];
  await open(page, server, 'deliveries', { rp: one.id, state: 'DELIVERY_STATE_PENDING' });
  await expect(page.getByText('Nothing matches')).toBeVisible();
  await chooser(page, one.name).click();
  await page.getByRole('link', { name: other.name, exact: true }).click();
  await expect(page.getByText('No deliveries yet')).toBeVisible();
  await expect(page).toHaveURL(`${server.url}/console/deliveries?rp=${other.id}`);
  await page.goBack();
  await expect(chooser(page, one.name)).toBeVisible();
  await expect(page.getByText('Nothing matches')).toBeVisible();
});
