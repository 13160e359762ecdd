/** Every view of the console, and what opens above it, held to what axe knows: wide and narrow, in light and in dark. */

import { HANDHELD, VIEWPORTS, heading } from './support/acme.js';
import { expectAccessible } from './support/axe.js';
import { choose, code, dialog, enrol, invite, open, row, scan } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('./support/server.js').Server} Server */

test.use({ bypassCSP: true, contextOptions: { reducedMotion: 'reduce' } });

/** What the views show, for all tests of this file. */
const has = { rp: '', answered: '', open: '', device: '', delivery: '', empty: '' };

/** @param {Server} server */
async function fill(server) {
  const shop = await tenant(server);
  has.empty = (await tenant(server)).id;
  has.rp = shop.id;
  const phone = await shop.enrol('ada@example.com');
  has.device = phone.device;
  await shop.admin('credentials', 'create', 'server');
  await shop.admin('endpoints', 'create', 'http://127.0.0.1:9/nodkey');
  const fields = ['--fields', '{"payee":"Alan Turing","amount":90.10}'];
  has.answered = (await shop.ask('ada@example.com', 'pay 90.10 EUR', ...fields)).id;
  await phone.answer('accept');
  await shop.ask('ada@example.com', 'pay 1');
  await phone.answer('reject');
  has.open = (await shop.ask('ada@example.com', 'log in', '--expires-in', '3600')).id;
  await expect(async () => {
    const { items } = await shop.admin('deliveries', 'list');
    expect(items).toHaveLength(2);
    has.delivery = items[0].id;
  }).toPass();
}

test.beforeAll(({ server }) => fill(server));

/** @type {[name: string, view: string, query: () => Record<string, string>, shown: string | RegExp][]} */
const VIEWS = [
  ['overview', 'overview', () => ({}), 'registry'],
  ['list of trusonafications', 'trusonafications', () => ({ rp: has.rp }), 'pay 90.10 EUR'],
  ['live list', 'trusonafications', () => ({ rp: has.rp, live: '1' }), 'Connected'],
  ['empty list', 'trusonafications', () => ({ rp: has.empty }), 'No trusonafications yet'],
  ['list that nothing matches', 'trusonafications', () => ({ rp: has.rp, user: 'nobody' }), 'Nothing matches'],
  ['answered question', 'trusonafication', () => ({ rp: has.rp, id: has.answered }), 'Genuine'],
  ['open question', 'trusonafication', () => ({ rp: has.rp, id: has.open }), 'Waiting for the answer'],
  ['unknown question', 'trusonafication', () => ({ rp: has.empty, id: has.open }), 'Not found'],
  ['list of users', 'users', () => ({ rp: has.rp }), 'ada@example.com'],
  ['list of devices', 'users', () => ({ rp: has.rp, list: 'devices' }), 'ada@example.com’s phone'],
  ['user', 'users', () => ({ rp: has.rp, user: 'ada@example.com' }), 'Fingerprint or face'],
  ['device', 'users', () => ({ rp: has.rp, device: has.device }), 'Fingerprint or face'],
  ['list of endpoints', 'endpoints', () => ({ rp: has.rp }), 'all events'],
  ['list of deliveries', 'deliveries', () => ({ rp: has.rp }), 'trusonafication.accepted'],
  ['delivery', 'delivery', () => ({ rp: has.rp, id: has.delivery }), /no connection/],
  ['list of credentials', 'credentials', () => ({ rp: has.rp }), 'Server'],
  ['settings', 'settings', () => ({ rp: has.rp }), 'None configured.'],
  ['list of relying parties', 'relying-parties', () => ({}), 'Acme Bank'],
  ['list of signing keys', 'signing-keys', () => ({}), 'Current'],
  ['list of operators', 'operators', () => ({}), 'First owner'],
  ['list of sessions', 'sessions', () => ({}), '(this one)'],
  ['audit log', 'audit', () => ({}), 'AcceptInvitation'],
  ['view that is none', 'nothing', () => ({}), 'Page not found'],
];

/**
 * Opens what waits for the phone. Nobody is asked: that often, a phone would be left alone for a while.
 * @param {Page} page
 */
async function toConfirm(page) {
  const confirmation = {
    id: 'x',
    state: 'CONFIRMATION_STATE_WAITING',
    action: 'make a new signing key',
    resource: 'registry',
  };
  await page.route('**/CreateConfirmation', (route) => route.fulfill({ json: { confirmation, matchNumber: '42' } }));
  await page.route('**/GetConfirmation', () => {});
  await press(page, 'Rotate');
  await dialog(page).getByRole('button', { name: 'Rotate', exact: true }).click();
  await expect(dialog(page, 'Confirm on your phone')).toBeVisible();
}

/**
 * Opens the search, and finds something.
 * @param {Page} page
 */
async function search(page) {
  await press(page, 'Search');
  await dialog(page).getByRole('searchbox').fill('ada');
  await expect(dialog(page).getByRole('link', { name: /^User/ })).toBeVisible();
}

/**
 * What is opened above a view.
 * @type {[name: string, view: string, open: (page: Page) => Promise<unknown>][]}
 */
const ABOVE = [
  ['chooser', 'credentials', (page) => page.getByRole('banner').getByRole('button', { name: /^Shop/ }).click()],
  ['search', 'credentials', search],
  ['shortcuts', 'credentials', (page) => page.keyboard.press('?')],
  ['menu of the operator', 'credentials', (page) => press(page, 'First owner, owner')],
  ['menu of a row', 'credentials', (page) => press(page, /^Actions on Server/)],
  ['new credential', 'credentials', (page) => press(page, 'Create credential')],
  ['rotating a credential', 'credentials', (page) => choose(row(page, 'Server'), 'Rotate')],
  ['disabling a credential', 'credentials', (page) => choose(row(page, 'Server'), 'Disable')],
  ['new endpoint', 'endpoints', (page) => press(page, 'Create endpoint')],
  ['changing an endpoint', 'endpoints', (page) => choose(row(page, 'all events'), 'Change')],
  ['rotating keys', 'endpoints', (page) => choose(row(page, 'all events'), 'Rotate keys')],
  ['switching off', 'endpoints', (page) => choose(row(page, 'all events'), 'Switch off')],
  ['deleting an endpoint', 'endpoints', (page) => choose(row(page, 'all events'), 'Delete')],
  ['sending again', 'deliveries', (page) => press(page, 'Send again')],
  ['canceling', 'trusonafication', (page) => press(page, 'Cancel')],
  ['retiring a device', 'users', (page) => press(page, 'Retire device')],
  ['disabling a relying party', 'settings', (page) => press(page, 'Disable')],
  ['new relying party', 'relying-parties', (page) => press(page, 'Create relying party')],
  ['rotating the signing key', 'signing-keys', (page) => press(page, 'Rotate')],
  ['what the phone is to confirm', 'signing-keys', toConfirm],
  ['inviting', 'operators', (page) => press(page, 'Invite')],
  ['changing an operator', 'operators', (page) => choose(row(page, 'First owner'), 'Change')],
  ['new invitation', 'operators', (page) => choose(row(page, 'First owner'), 'New invitation')],
  ['audit entry', 'audit', (page) => press(page, /^AcceptInvitation/)],
];

/**
 * Presses the first button of a name.
 * @param {Page} page
 * @param {string | RegExp} name
 */
function press(page, name) {
  return page.getByRole('button', { name }).first().click();
}

for (const viewport of VIEWPORTS) {
  test.describe(`at ${viewport.width} px`, () => {
    test.use({ viewport });

    test('nothing is wrong with the views', async ({ page, server }) => {
      for (const [name, view, query, shown] of VIEWS) {
        await open(page, server, view, query());
        await expect(page.getByRole('main').getByText(shown).first()).toBeVisible();
        await expectAccessible(page, name);
      }
    });

    test('nothing is wrong with the menus and dialogs above them', async ({ page, server }) => {
      for (const [name, view, above] of ABOVE) {
        await open(page, server, view, { rp: has.rp, id: has.open, ...(view === 'users' && { device: has.device }) });
        await above(page);
        await expectAccessible(page, name);
      }
    });

    test('nothing is wrong with what is refused, and with what is shown once', async ({
      page,
      server,
      confirmOnPhone,
    }) => {
      await open(page, server, 'endpoints', { rp: has.empty });
      await press(page, 'Create endpoint');
      await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
      await expect(dialog(page).getByLabel('URL')).toHaveAttribute('aria-invalid', 'true');
      await expectAccessible(page, 'an endpoint without a URL');
      await dialog(page).getByLabel('URL').fill('http://127.0.0.1:9/nodkey');
      await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
      await expect(dialog(page, 'The keys of the endpoint')).toBeVisible();
      await expectAccessible(page, 'secret');
      await press(page, 'I have saved it');
      await expect(row(page, 'all events')).toBeVisible();
      await choose(row(page, 'all events'), 'Delete');
      await dialog(page).getByRole('button', { name: 'Delete', exact: true }).click();
      await expect(page.getByText('Deleted')).toBeVisible();
      await expectAccessible(page, 'said in passing');
      await open(page, server, 'operators');
      await press(page, 'Invite');
      await dialog(page).getByLabel('Name').fill('Audrey');
      await dialog(page).getByRole('button', { name: 'Create link' }).click();
      await confirmOnPhone();
      await expect(dialog(page, 'Invitation for Audrey')).toBeVisible();
      await expectAccessible(page, 'invitation');
    });

    test('nothing is wrong with evidence, whether it is genuine or not', async ({ page, server }) => {
      await open(page, server, 'trusonafication', { rp: has.rp, id: has.answered });
      for (const part of ['Receipt', 'Challenge', 'Response', 'Evidence as a file'])
        await page.getByText(part, { exact: true }).click();
      await expectAccessible(page, 'evidence that is genuine');
      await page.route('**/jwks/archive', (route) => route.fulfill({ json: { keys: [] } }));
      await page.reload();
      await expect(page.getByText('Not genuine', { exact: true })).toBeVisible();
      await expectAccessible(page, 'evidence that is not');
    });

    test('nothing is wrong with what fails, and with what is still to come', async ({ page, server }) => {
      await page.route('**/ListCredentials', (route) => route.abort());
      await open(page, server, 'credentials', { rp: has.rp });
      await expect(page.getByRole('alert')).toBeVisible();
      await expectAccessible(page, 'failed list');
      await page.route('**/ListEndpoints', () => {});
      await open(page, server, 'endpoints', { rp: has.rp });
      await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
      await expectAccessible(page, 'list still to come');
      await page.route('**/GetRelyingParty', () => {});
      await open(page, server, 'settings', { rp: has.rp });
      await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
      await expectAccessible(page, 'view still to come');
      await page.route('**/console/api/status', (route) => route.abort());
      await open(page, server, 'overview');
      await expect(page.getByText('The state of the deployment is unknown')).toBeVisible();
      await expectAccessible(page, 'state not known');
      await page.unroute('**/console/api/status');
      await page.route('**/console/api/status', async (route) => {
        const response = await route.fetch();
        const { processes } = await response.json();
        const away = { id: 'binding', services: ['binding'], ready: false, problems: ['does not answer'], metrics: '' };
        await route.fulfill({ response, json: { processes: [...processes, away] } });
      });
      await page.reload();
      await expect(page.getByText('binding is not ready')).toBeVisible();
      await expectAccessible(page, 'a process that is away');
      // The page goes on looking how the deployment is.
      await page.unrouteAll({ behavior: 'ignoreErrors' });
    });

    test('nothing is wrong with the sign-in', async ({ elsewhere: page, server }) => {
      await page.setViewportSize(viewport);
      const phone = await enrol(page.context(), (await invite(server, 'Audrey', 'auditor')).link);
      await page.goto(`${server.url}/console`);
      await expect(code(page)).toBeVisible();
      await page.getByText('No invitation yet?').click();
      await expectAccessible(page, 'code');
      await scan(page, phone);
      await expect(page.getByText('Scanned. Accept on your phone.')).toBeVisible();
      await expectAccessible(page, 'scanned');
      await press(phone, 'Reject');
      await expect(page.getByText('Rejected on the phone')).toBeVisible();
      await expectAccessible(page, 'rejected');
    });
  });
}

test('nothing is wrong with the navigation where it has to be opened', async ({ page, server }) => {
  await page.setViewportSize(HANDHELD);
  await open(page, server, 'overview');
  await page.getByRole('button', { name: 'Menu' }).click();
  await expect(page.getByRole('link', { name: 'Operators' })).toBeVisible();
  await expectAccessible(page, 'navigation');
  await page.getByRole('link', { name: 'Operators' }).click();
  await expect(heading(page, 'Operators')).toBeFocused();
  await expect(page.getByRole('link', { name: 'Operators' })).toBeHidden();
});
