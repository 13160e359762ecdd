/** One search field for the console, and its keyboard shortcuts. */

import { heading } from './support/acme.js';
import { dialog, open } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

/**
 * Opens the search by its key, and enters a text.
 * @param {Page} page
 * @param {string} text
 */
async function search(page, text) {
  await page.keyboard.press('/');
  await expect(dialog(page, 'Search').getByRole('searchbox')).toBeFocused();
  await page.keyboard.insertText(text);
}

/**
 * A result of the search.
 * @param {Page} page
 * @param {string} kind
 */
function result(page, kind) {
  return dialog(page, 'Search').getByRole('link', { name: new RegExp(`^${kind}`) });
}

test('the search finds users, devices, trusonafications, credentials, relying parties and pages, and leads there', async ({
  page,
  server,
}) => {
  const shop = await tenant(server);
  const { device } = await shop.enrol('ada@example.com');
  const { id } = await shop.ask('ada@example.com', 'pay 1');
  const { items } = await shop.admin('credentials', 'list');
  await open(page, server, 'endpoints', { rp: shop.id });
  const found = /** @type {[text: string, kind: string, shown: string][]} */ ([
    ['ada@', 'User', 'Prompts'],
    ['’s phone', 'Device', device],
    [device, 'Device', device],
    [id, 'Trusonafication', 'Waiting for the answer'],
    [items[0].id, 'Credential', 'Active'],
    [shop.name, 'Relying party', 'pay 1'],
    ['audit', 'Page', 'CreateRelyingParty'],
  ]);
  for (const [text, kind, shown] of found) {
    await search(page, text);
    await result(page, kind).first().click();
    await expect(dialog(page)).toHaveCount(0);
    await expect(page.getByRole('main').getByText(shown).first()).toBeVisible();
  }
});

test('the search says that there is nothing, and nothing of another relying party', async ({ page, server }) => {
  const [shop, other] = [await tenant(server), await tenant(server)];
  const { device } = await other.enrol('ada');
  const { id } = await other.ask('ada', 'pay 1');
  await open(page, server, 'endpoints', { rp: shop.id });
  await search(page, '');
  for (const text of ['ada', device, id]) {
    await dialog(page).getByRole('searchbox').fill(text);
    await expect(dialog(page).getByRole('status')).toHaveText('No results');
  }
});

test('the search is used by the keyboard alone', async ({ page, server }) => {
  const shop = await tenant(server);
  for (const user of ['ada', 'adele']) await shop.enrol(user);
  await open(page, server, 'endpoints', { rp: shop.id });
  await search(page, 'ad');
  await expect(result(page, 'User')).toHaveCount(2);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await expect(result(page, 'User').nth(1)).toBeFocused();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  await expect(dialog(page).getByRole('searchbox')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(heading(page, 'Users and devices')).toBeFocused();
  await expect(page.getByRole('heading', { level: 2, name: 'ada', exact: true })).toBeVisible();
  await search(page, 'x');
  await page.keyboard.press('Escape');
  await expect(dialog(page)).toHaveCount(0);
});

test('shortcuts go to pages, are listed by a question mark, and are letters where text is entered', async ({
  page,
  server,
}) => {
  const shop = await tenant(server);
  await open(page, server, 'endpoints', { rp: shop.id });
  await page.keyboard.press('?');
  await expect(dialog(page, 'Keyboard shortcuts')).toContainText('Audit log');
  await page.keyboard.press('Escape');
  await expect(dialog(page)).toHaveCount(0);
  await page.keyboard.press('g');
  await page.keyboard.press('u');
  await expect(heading(page, 'Users and devices')).toBeFocused();
  expect(new URL(page.url()).searchParams.get('rp')).toBe(shop.id);
  await page.getByLabel('Identifier begins with').focus();
  await page.keyboard.type('ga?/');
  await expect(page.getByLabel('Identifier begins with')).toHaveValue('ga?/');
  await expect(dialog(page)).toHaveCount(0);
});
