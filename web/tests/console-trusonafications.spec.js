/** What users were asked: found, followed live, and looked at one by one. */

import { accept, ask, deviceOf, heading, openPhone } from './support/acme.js';
import { call } from './support/backend.js';
import { acme, confirm, expectToast, go, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

/** What is verified of an answer. */
const CHECKS = [
  'The challenge is signed by the deployment',
  'The response is signed by one of the keys',
  'The device identifier is the thumbprint of the device key',
  'The response is to this very challenge',
  'The receipt is signed by the deployment',
  'The receipt is of this challenge, this response and this key',
  'The device itself named the key that answered',
];

/**
 * A part of the view of one question.
 * @param {Page} page
 * @param {string} name
 */
function part(page, name) {
  return page
    .getByRole('main')
    .locator('section')
    .filter({ has: page.getByRole('heading', { level: 2, name }) });
}

test.describe('the list', () => {
  test('is filtered by status and user, by an address that can be loaded again', async ({ page, server }) => {
    const shop = await tenant(server);
    await Promise.all([shop.enrol('ada'), shop.enrol('grace')]);
    const { id } = await shop.ask('ada', 'pay 1');
    await shop.admin('trusonafications', 'cancel', id);
    await shop.ask('ada', 'pay 2');
    await shop.ask('grace', 'pay 3');
    await open(page, server, 'trusonafications', { rp: shop.id });
    const questions = page.getByRole('rowheader');
    await expect(questions).toHaveText([/^pay 3/, /^pay 2/, /^pay 1/]);
    await page.getByLabel('User').fill('ada');
    await page.getByLabel('User').press('Enter');
    await expect(questions).toHaveText([/^pay 2/, /^pay 1/]);
    await page.getByLabel('Status').selectOption('Canceled');
    await expect(questions).toHaveText([/^pay 1/]);
    await expect(page).toHaveURL(/status=STATUS_CANCELED&user=ada|user=ada&status=STATUS_CANCELED/);
    await page.reload();
    await expect(questions).toHaveText([/^pay 1/]);
    await expect(page.getByLabel('User')).toHaveValue('ada');
    await page.getByLabel('User').fill('grace');
    await page.getByLabel('User').press('Enter');
    await expect(page.getByText('Nothing matches')).toBeVisible();
    await page.goBack();
    await expect(questions).toHaveText([/^pay 1/]);
    await page.getByRole('button', { name: 'Clear' }).click();
    await expect(questions).toHaveCount(3);
  });

  test('is turned page by page, and each page has an address', async ({ page, server }) => {
    const shop = await tenant(server);
    await shop.enrol('ada');
    const credential = await shop.admin('credentials', 'create', 'server');
    const path = '/api/v2/trusonafications';
    for (let i = 1; i <= 51; i += 1) {
      const message = { user_identifier: 'ada', action: `pay ${i}`, resource: shop.name };
      const { id } = await (await call(server, credential, 'POST', path, message)).json();
      await call(server, credential, 'DELETE', `${path}/${id}`);
    }
    await open(page, server, 'trusonafications', { rp: shop.id });
    const questions = page.getByRole('rowheader');
    await expect(questions).toHaveCount(50);
    await page.getByRole('button', { name: 'Next' }).click();
    await expect(questions).toHaveText([/^pay 1Shop/]);
    await expect(page.getByText('Page 2')).toBeVisible();
    await page.reload();
    await expect(questions).toHaveText([/^pay 1Shop/]);
    await page.getByRole('button', { name: 'Previous' }).click();
    await expect(questions).toHaveCount(50);
    await expect(questions.first()).toHaveText(/^pay 51/);
    await expect(page.getByText('Page 1')).toBeVisible();
  });

  test('is live while that is wanted: what is asked appears, and how it ends', async ({ page, server }) => {
    const shop = await tenant(server);
    const phone = await shop.enrol('ada');
    await open(page, server, 'trusonafications', { rp: shop.id });
    await expect(page.getByText('No trusonafications yet')).toBeVisible();
    await page.getByRole('switch', { name: 'Live' }).check();
    await expect(page.getByText('Connected')).toBeVisible();
    await shop.ask('ada', 'pay 1');
    await expect(row(page, 'pay 1')).toContainText('In progress');
    await phone.answer('accept');
    await expect(row(page, 'pay 1')).toContainText('Accepted');
    const { id } = await shop.ask('ada', 'pay 2');
    await expect(page.getByRole('rowheader')).toHaveText([/^pay 2/, /^pay 1/]);
    await shop.admin('trusonafications', 'cancel', id);
    await expect(row(page, 'pay 2')).toContainText('Canceled');
  });

  test('is live again after the connection was lost, and has what happened meanwhile', async ({ page, server }) => {
    const shop = await tenant(server);
    await shop.enrol('ada');
    await page.route('**/WatchTrusonafications', (route) => route.abort());
    await open(page, server, 'trusonafications', { rp: shop.id, live: '1' });
    await expect(page.getByRole('switch', { name: 'Live' })).toBeChecked();
    await expect(page.getByText('Connecting')).toBeVisible();
    await expect(page.getByText('No trusonafications yet')).toBeVisible();
    await shop.ask('ada', 'pay 1');
    await page.unrouteAll();
    await expect(page.getByText('Connected')).toBeVisible();
    await expect(row(page, 'pay 1')).toContainText('In progress');
  });
});

test.describe('one question', () => {
  test('that is open follows what the phone answers, and verifies the evidence of it check by check', async ({
    page,
    elsewhere: phone,
    server,
  }) => {
    const user = await openPhone(phone, server);
    const { id } = await ask(server, user, 'pay 90.00 EUR', '--fields', '{"payee":"Alan","amount":90.10}');
    await open(page, server, 'trusonafications', { rp: await acme(server), user });
    await page.getByRole('link', { name: 'pay 90.00 EUR' }).click();
    await expect(heading(page, 'pay 90.00 EUR')).toBeFocused();
    await expect(part(page, 'What happened').getByRole('listitem')).toHaveText([
      /^Requested/,
      /^Waiting for the answer/,
    ]);
    await expect(part(page, 'Custom fields')).toContainText('{"payee":"Alan","amount":90.10}');
    await expect(part(page, 'Evidence')).toHaveCount(0);

    await accept(phone);
    await expect(part(page, 'What happened').getByRole('listitem')).toHaveText([
      /^Requested/,
      /^AcceptedPhone and presence \(level 2\)after .* s/,
    ]);
    const evidence = part(page, 'Evidence');
    await expect(evidence.getByText('Genuine', { exact: true })).toBeVisible();
    for (const check of CHECKS) await expect(evidence.getByText(`${check}: holds`)).toBeVisible();
    await expect(evidence.getByRole('listitem').nth(2)).toContainText(await deviceOf(server, user));
    await evidence.getByText('Receipt', { exact: true }).click();
    const receipt = evidence.getByRole('group', { name: 'Receipt' });
    await expect(receipt).toContainText('"status": "ACCEPTED"');
    await expect(receipt).toContainText(`"sub": "${id}"`);
    await expect(receipt).toContainText(`"user": "${user}"`);
    await evidence.getByText('Challenge', { exact: true }).click();
    const asked = evidence.getByRole('group', { name: 'Challenge' });
    await expect(asked).toContainText('"act": "pay 90.00 EUR"');
    await expect(asked).toContainText('"amount": 90.10');
    await evidence.getByText('Response', { exact: true }).click();
    await expect(evidence.getByRole('group', { name: 'Response' })).toContainText('"dec": "accept"');
    await page.reload();
    await expect(evidence.getByText('Genuine', { exact: true })).toBeVisible();
  });

  test('whose evidence was tampered with says which check does not hold', async ({ page, server }) => {
    const shop = await tenant(server);
    const phone = await shop.enrol('ada');
    const { id } = await shop.ask('ada', 'pay 1');
    await phone.answer('accept');
    await page.route('**/GetEvidence', async (route) => {
      const response = await route.fetch();
      const evidence = await response.json();
      const [header, payload, signature] = evidence.response.split('.');
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
      const other = Buffer.from(JSON.stringify({ ...claims, dec: 'reject' })).toString('base64url');
      await route.fulfill({ response, json: { ...evidence, response: `${header}.${other}.${signature}` } });
    });
    await open(page, server, 'trusonafication', { rp: shop.id, id });
    const evidence = part(page, 'Evidence');
    await expect(evidence.getByText('Not genuine', { exact: true })).toBeVisible();
    await expect(evidence.getByRole('listitem')).toContainText([`${CHECKS[0]}: holds`, `${CHECKS[1]}: does not hold`]);
  });

  test('that was rejected says why', async ({ page, server }) => {
    const shop = await tenant(server);
    const phone = await shop.enrol('ada');
    const { id } = await shop.ask('ada', 'pay 1');
    await phone.answer('not-me');
    await open(page, server, 'trusonafication', { rp: shop.id, id });
    await expect(part(page, 'What happened').getByRole('listitem').last()).toHaveText(
      /^RejectedReported by the user: not me/,
    );
    await expect(part(page, 'Evidence').getByText('Genuine', { exact: true })).toBeVisible();
  });

  test('is canceled, which takes it off the phone and tells the backend', async ({ page, server, receiver }) => {
    const shop = await tenant(server);
    await shop.enrol('ada');
    await shop.admin('endpoints', 'create', receiver.url);
    const { id } = await shop.ask('ada', 'pay 1');
    await open(page, server, 'trusonafication', { rp: shop.id, id });
    await page.getByRole('button', { name: 'Cancel' }).click();
    await confirm(page, 'Cancel trusonafication');
    await expectToast(page, 'Canceled');
    await expect(part(page, 'What happened').getByRole('listitem').nth(1)).toHaveText(/^Canceled/);
    await expect(page.getByRole('button', { name: 'Cancel' })).toHaveCount(0);
    await expect.poll(() => receiver.calls.length).toBe(1);
    await expect(async () => {
      await page.reload();
      await expect(part(page, 'What happened').getByRole('listitem').nth(2)).toContainText('Succeeded', {
        timeout: 1000,
      });
    }).toPass();
    await page.getByRole('link', { name: receiver.url }).click();
    await expect(heading(page, 'trusonafication.canceled')).toBeVisible();
  });

  test('that is none of this relying party is not found', async ({ page, server }) => {
    const [shop, other] = [await tenant(server), await tenant(server)];
    await shop.enrol('ada');
    const { id } = await shop.ask('ada', 'pay 1');
    await open(page, server, 'trusonafication', { rp: other.id, id });
    await expect(page.getByRole('alert')).toContainText('Not found');
    await go(page, 'Trusonafications');
    await expect(page.getByText('No trusonafications yet')).toBeVisible();
  });
});
