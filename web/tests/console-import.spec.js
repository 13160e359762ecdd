/** Users imported from a CSV file: checked, tried, confirmed on the phone, all or none. */

import { HANDHELD } from './support/acme.js';
import { expectAccessible } from './support/axe.js';
import { dialog, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { signInAs } from './support/soft_phone.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

/**
 * Opens the import and chooses a file.
 * @param {Page} page
 * @param {string} text
 */
async function choose(page, text) {
  await page.getByRole('button', { name: 'Import users' }).click();
  await chooseFile(page, text);
}

/**
 * @param {Page} page
 * @param {string} text
 */
function chooseFile(page, text) {
  const buffer = Buffer.from(text);
  return dialog(page).getByLabel('File').setInputFiles({ name: 'users.csv', mimeType: 'text/csv', buffer });
}

/**
 * What the dialog reports.
 * @param {Page} page
 */
function report(page) {
  return dialog(page, 'Import users').getByRole('status');
}

/**
 * @param {Page} page
 * @param {string} name
 */
function press(page, name) {
  return dialog(page, 'Import users').getByRole('button', { name, exact: true }).click();
}

test('users are imported once the phone has confirmed it, after a dry run that changes nothing', async ({
  page,
  server,
  confirmOnPhone,
}) => {
  const shop = await tenant(server);
  const [one, two] = [await shop.register('ada'), await shop.register('bob')];
  await open(page, server, 'users', { rp: shop.id });
  await choose(
    page,
    `\ufeffuser_identifier,device_identifier,active,trusona_id\r\nada,${one.device},true,123456789\r\n"bjørn, ""B""",${two.device},,\r\n`,
  );
  await expect(report(page)).toHaveText('2 rows: 2 users, 2 devices (1 active), 1 Trusona ID.');
  await press(page, 'Dry run');
  expect(await confirmOnPhone()).toMatch(/^import users, file .*: Shop/);
  await expect(report(page)).toHaveText('Dry run: 3 would be imported, 0 exist already.');
  expect((await shop.admin('bindings', 'list')).items).toEqual([]);
  await press(page, 'Import');
  await confirmOnPhone();
  await expect(dialog(page, 'Users imported')).toContainText('3 imported, 0 exist already.');
  await page.keyboard.press('Escape');
  await expect(row(page, 'ada')).toContainText('Active');
  await expect(row(page, 'bjørn, "B"')).toBeVisible();
});

test('an error in one line, and nothing is imported: of the file before anything is sent, of the data by the service', async ({
  page,
  server,
  confirmOnPhone,
}) => {
  const shop = await tenant(server);
  const { device } = await shop.register('ada');
  await open(page, server, 'users', { rp: shop.id });
  await page.getByRole('button', { name: 'Import users' }).click();
  await press(page, 'Import');
  await expect(dialog(page).getByLabel('File')).toHaveAccessibleDescription(/Choose a file/);
  await chooseFile(page, `user_identifier,device_identifier,active\nada,${device},yes\nbob\n`);
  const errors = dialog(page).getByRole('group', { name: 'Errors' });
  await expect(errors).toContainText('Line 2: active must be true, false or empty');
  await expect(errors).toContainText('Line 3: it has 1 value, but there are 3 columns');
  for (const name of ['Dry run', 'Import']) {
    await press(page, name);
    await expect(dialog(page).getByRole('alert')).toContainText('Nothing was imported');
  }
  await chooseFile(page, `user_identifier,device_identifier\nada,${device}\nbob,${device}\n`);
  await press(page, 'Import');
  await confirmOnPhone();
  await expect(errors).toContainText('Line 3: line 2 binds the device to another user (DEVICE_ALREADY_BOUND)');
  await expect(dialog(page).getByRole('alert')).toContainText('Nothing was imported');
  expect((await shop.admin('bindings', 'list')).items).toEqual([]);
  await chooseFile(page, `user_identifier,device_identifier\nada,${device}\n`);
  await press(page, 'Import');
  await confirmOnPhone();
  await expect(dialog(page, 'Users imported')).toContainText('1 imported');
});

test('an import without an answer may have been done, which is said, and once more changes nothing', async ({
  page,
  server,
  confirmOnPhone,
}) => {
  const shop = await tenant(server);
  await open(page, server, 'users', { rp: shop.id });
  await choose(page, 'user_identifier,trusona_id\nada,123456789\n');
  await page.route('**/ImportUsers', async (route) => {
    await route.fetch();
    await route.abort();
  });
  await press(page, 'Import');
  await confirmOnPhone();
  await expect(dialog(page).getByRole('alert')).toContainText('The users may have been imported');
  await page.unroute('**/ImportUsers');
  await press(page, 'Import');
  await confirmOnPhone();
  await expect(dialog(page, 'Users imported')).toContainText('0 imported, 1 exists already.');
});

test('a confirmation without an answer imports nobody, and nothing else is said', async ({
  page,
  server,
  confirmOnPhone,
}) => {
  const shop = await tenant(server);
  await open(page, server, 'users', { rp: shop.id });
  await choose(page, 'user_identifier,trusona_id\nada,123456789\n');
  await page.route('**/GetConfirmation', async (route) => {
    await route.fetch();
    await route.abort();
  });
  await press(page, 'Import');
  await confirmOnPhone();
  const refusal = dialog(page, 'Import users').getByRole('alert');
  await expect(refusal).toContainText('The server cannot be reached');
  await expect(refusal).not.toContainText('may have been imported');
  await page.unroute('**/GetConfirmation');
  await press(page, 'Import');
  await confirmOnPhone();
  await expect(dialog(page, 'Users imported')).toContainText('1 imported');
});

test('auditors import nobody', async ({ elsewhere: page, server }) => {
  const shop = await tenant(server);
  await shop.enrol('ada');
  await signInAs(page, server, 'Auditor of imports', 'auditor');
  await open(page, server, 'users', { rp: shop.id });
  await expect(row(page, 'ada')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Import users' })).toHaveCount(0);
});

test.describe('for axe', () => {
  test.use({ bypassCSP: true, contextOptions: { reducedMotion: 'reduce' } });

  for (const viewport of [{ width: 1440, height: 900 }, HANDHELD]) {
    test(`nothing is wrong with the import at ${viewport.width} px`, async ({ page, server }) => {
      await page.setViewportSize(viewport);
      await open(page, server, 'users', { rp: (await tenant(server)).id });
      await choose(page, 'user_identifier,trusona_id\nada,123456789\n');
      await expect(report(page)).toContainText('1 row');
      await expectAccessible(page, 'a file that is good');
      await chooseFile(page, 'user_identifier\n"ada\n');
      await press(page, 'Import');
      await expect(dialog(page).getByRole('alert')).toBeVisible();
      await expectAccessible(page, 'a file with an error');
    });
  }
});
