/** Every page of the console at 360 px, with names as long as they can be and without a space: nothing is cut off or wider than the page. */

import { HANDHELD } from './support/acme.js';
import { dialog, open } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('./support/server.js').Server} Server */

test.use({ viewport: HANDHELD });

/** As long as user identifiers, actions and resources can be. */
const LONG = 'W'.repeat(255);
/** As long as names of relying parties, operators and devices can be. */
const NAME = 'M'.repeat(100);
const URL_PATH = 'w'.repeat(255);

/** What the pages show. */
const has = { rp: '', answered: '', open: '', device: '', delivery: '', operator: '' };

/** @param {Server} server */
async function fill(server) {
  const shop = await tenant(server);
  has.rp = shop.id;
  await shop.admin('relying-parties', 'update', '--name', NAME);
  const phone = await shop.enrol('ada');
  has.device = phone.device;
  const binding = await shop.admin(
    'bindings',
    'create',
    '--user',
    LONG,
    `--device=${(await shop.register('grace')).device}`,
  );
  await shop.admin('bindings', 'activate', binding.id);
  await shop.admin('endpoints', 'create', `http://127.0.0.1:9/${URL_PATH}`);
  const fields = ['--fields', JSON.stringify({ [LONG]: LONG })];
  const create = ['trusonafications', 'create', '--action', LONG, '--resource', LONG, ...fields];
  has.answered = (await shop.admin(...create, '--user', 'ada', '--context', LONG)).id;
  await phone.answer('reject');
  has.open = (await shop.admin(...create, '--user', LONG, '--expires-in', '3600')).id;
  await shop.admin('users', 'freeze', '--yes', LONG);
  has.operator = (await server.admin('operators', 'invite', NAME, '--role', 'auditor')).id;
  await expect(async () => {
    const { items } = await shop.admin('deliveries', 'list');
    expect(items.length).toBeGreaterThan(0);
    has.delivery = items[0].id;
  }).toPass();
}

test.beforeAll(({ server }) => fill(server));

/** @type {[view: string, query: () => Record<string, string>, shown: string | RegExp][]} */
const PAGES = [
  ['overview', () => ({}), 'registry'],
  ['trusonafications', () => ({ rp: has.rp }), LONG],
  ['trusonafication', () => ({ rp: has.rp, id: has.answered }), 'Genuine'],
  ['trusonafication', () => ({ rp: has.rp, id: has.open }), 'Canceled'],
  ['users', () => ({ rp: has.rp }), LONG],
  ['users', () => ({ rp: has.rp, list: 'devices' }), 'ada’s phone'],
  ['users', () => ({ rp: has.rp, user: LONG }), 'Fingerprint or face'],
  ['users', () => ({ rp: has.rp, device: has.device }), 'Fingerprint or face'],
  ['endpoints', () => ({ rp: has.rp }), 'all events'],
  ['deliveries', () => ({ rp: has.rp }), 'trusonafication.rejected'],
  ['delivery', () => ({ rp: has.rp, id: has.delivery }), 'Payload'],
  ['credentials', () => ({ rp: has.rp }), 'Mobile'],
  ['settings', () => ({ rp: has.rp }), 'None configured.'],
  ['relying-parties', () => ({}), NAME],
  ['signing-keys', () => ({}), 'Current'],
  ['operators', () => ({}), NAME],
  ['sessions', () => ({}), '(this one)'],
  ['sessions', () => ({ operator: has.operator }), 'No sessions'],
  ['audit', () => ({}), 'UpdateRelyingParty'],
  ['nothing', () => ({}), 'Page not found'],
];

/**
 * What reaches beyond the right edge and is neither cut off on purpose nor scrolled in a place of its own.
 * @param {Page} page
 * @returns {Promise<string[]>}
 */
function overflowing(page) {
  return page.evaluate(() => {
    /** @param {Element | null} element */
    const isContained = (element) => {
      for (let at = element; at && at !== document.body; at = at.parentElement)
        if (getComputedStyle(at).overflowX !== 'visible' || getComputedStyle(at).visibility === 'hidden') return true;
      return false;
    };
    const wide = [...document.querySelectorAll('main *, header *, dialog[open] *')].filter((element) => {
      const { right, left, width } = element.getBoundingClientRect();
      return width > 0 && (right > innerWidth + 1 || left < -1) && !isContained(element.parentElement);
    });
    const page = document.documentElement.scrollWidth > innerWidth ? ['the page'] : [];
    return [
      ...page,
      ...wide.map(({ tagName, className, textContent }) => `${tagName} ${className} ${textContent?.slice(0, 30)}`),
    ];
  });
}

test('nothing overflows on any page', async ({ page, server }) => {
  for (const [view, query, shown] of PAGES) {
    await open(page, server, view, query());
    await expect(page.getByRole('main').getByText(shown).first()).toBeVisible();
    expect.soft(await overflowing(page), page.url()).toEqual([]);
  }
});

test('nothing overflows in the search, the list of shortcuts and the details of an audit entry', async ({
  page,
  server,
}) => {
  await open(page, server, 'audit', { rp: has.rp });
  await page.getByRole('button', { name: 'Search' }).click();
  await dialog(page).getByRole('searchbox').fill('WWW');
  await expect(dialog(page).getByRole('link', { name: /^User/ })).toBeVisible();
  expect(await overflowing(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await expect(dialog(page)).toContainText('Audit log');
  expect(await overflowing(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await page
    .getByRole('button', { name: /^UpdateRelyingParty/ })
    .first()
    .click();
  await expect(dialog(page)).toContainText(NAME);
  expect(await overflowing(page)).toEqual([]);
});

test('nothing overflows in the import of users, whatever is wrong with the file', async ({ page, server }) => {
  await open(page, server, 'users', { rp: has.rp });
  await page.getByRole('button', { name: 'Import users' }).click();
  const buffer = Buffer.from(`user_identifier,active\n${LONG},${LONG}\n`);
  await dialog(page)
    .getByLabel('File')
    .setInputFiles({ name: `${NAME}.csv`, mimeType: 'text/csv', buffer });
  await dialog(page).getByRole('button', { name: 'Import', exact: true }).click();
  await expect(dialog(page).getByRole('alert')).toBeVisible();
  await expect(dialog(page).getByRole('group', { name: 'Errors' })).toContainText('Line 2');
  expect(await overflowing(page)).toEqual([]);
  // The body of a dialog scrolls down, never sideways.
  const hidden = await dialog(page).evaluate((shown) =>
    [...shown.querySelectorAll('.body')].map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth),
  );
  expect(hidden).toEqual([0]);
});
