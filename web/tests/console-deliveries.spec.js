/** Webhook endpoints and what is delivered to them. */

import { createHmac } from 'node:crypto';

import { heading } from './support/acme.js';
import { choose, confirm, dialog, expectToast, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('./support/receiver.js').Call} Call */
/** @typedef {import('./support/tenant.js').Tenant} Tenant */

/** Later than any test takes. */
const NOT_NOW = { 'retry-after': '3600' };

/**
 * Reads the secret that is shown once, and closes it.
 * @param {Page} page
 */
async function keepSecret(page) {
  const shown = dialog(page, 'The keys of the endpoint');
  await expect(shown).toContainText('The secret is shown only now.');
  const secret = await shown.getByRole('code').first().innerText();
  await shown.getByRole('button', { name: 'I have saved it' }).click();
  await expect(shown).toBeHidden();
  expect(await page.content()).not.toContain(secret);
  return secret;
}

/**
 * Whether a call is signed by a secret.
 * @param {Call} call
 * @param {string} secret
 */
function isSigned({ headers, body }, secret) {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const signature = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  return String(headers['webhook-signature']).split(' ').includes(signature);
}

/**
 * A relying party with somebody to ask, whose phone is there before any endpoint is.
 * @param {import('./support/server.js').Server} server
 */
async function shopOf(server) {
  const shop = await tenant(server);
  await shop.enrol('ada');
  return shop;
}

/**
 * Has something end that endpoints are told of.
 * @param {Tenant} tenant
 * @returns {Promise<string>} the id of the question
 */
async function end({ ask, admin }) {
  const { id } = await ask('ada', 'log in');
  await admin('trusonafications', 'cancel', id);
  return id;
}

/**
 * Loads a view again until it shows what the server comes to know in a moment.
 * @param {Page} page
 * @param {import('@playwright/test').Locator} shown
 */
async function expectSoon(page, shown) {
  await expect(async () => {
    await page.reload();
    await expect(shown).toBeVisible({ timeout: 1000 });
  }).toPass();
}

test('an endpoint is created, its secret is shown once, and what it is told is signed by that', async ({
  page,
  server,
  receiver,
}) => {
  const shop = await shopOf(server);
  await open(page, server, 'endpoints', { rp: shop.id });
  await page.getByRole('button', { name: 'Create endpoint' }).first().click();
  const url = dialog(page).getByLabel('URL');
  await url.fill('http://shop.example.com/nodkey');
  await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
  await expect(url).toHaveAccessibleDescription(/must start with https/);
  await url.fill(receiver.url);
  await dialog(page).getByRole('checkbox', { name: 'expired' }).uncheck();
  await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
  const secret = await keepSecret(page);
  await expect(row(page, receiver.url)).toContainText('accepted, rejected, canceled');
  await expect(row(page, receiver.url)).toContainText('On');
  await page.reload();
  await expect(row(page, receiver.url)).toContainText('On');
  expect(await page.content()).not.toContain(secret);

  const id = await end(shop);
  await expect.poll(() => receiver.calls.length).toBe(1);
  expect(isSigned(receiver.calls[0], secret)).toBe(true);
  expect(JSON.parse(receiver.calls[0].body)).toMatchObject({ type: 'trusonafication.canceled', data: { id } });
});

test('a delivery that failed is shown with what the receiver said, and is sent again, successfully', async ({
  page,
  server,
  receiver,
}) => {
  const shop = await shopOf(server);
  await shop.admin('endpoints', 'create', receiver.url);
  receiver.answer = { status: 500, headers: NOT_NOW, body: 'the <b>database</b> is away' };
  await end(shop);
  await expect.poll(() => receiver.calls.length).toBe(1);
  await open(page, server, 'deliveries', { rp: shop.id });
  await expectSoon(page, row(page, 'trusonafication.canceled').getByRole('cell', { name: '1', exact: true }));
  await expect(row(page, 'trusonafication.canceled')).toContainText('Pending');
  await page.getByRole('link', { name: 'trusonafication.canceled' }).click();
  await expect(heading(page, 'trusonafication.canceled')).toBeFocused();
  const attempts = page.getByRole('main').getByRole('listitem');
  await expect(attempts).toHaveText([/^HTTP 500 after .*the <b>database<\/b> is away$/, /^Next attempt.*in \d+ min/]);

  receiver.answer = { status: 204 };
  await page.getByRole('button', { name: 'Send again' }).click();
  await expectToast(page, 'Sending again');
  await expect.poll(() => receiver.calls.length).toBe(2);
  expect(receiver.calls[1].headers['webhook-id']).toBe(receiver.calls[0].headers['webhook-id']);
  await expectSoon(page, page.getByText('Succeeded'));
  await expect(attempts).toHaveText([/^HTTP 500 after/, /^HTTP 204 after/]);
});

test('a test webhook is sent after a confirmation, and its delivery shows payload and response', async ({
  page,
  server,
  receiver,
}) => {
  receiver.answer = { status: 418, body: 'I am a teapot' };
  const shop = await tenant(server);
  await shop.admin('endpoints', 'create', receiver.url, '--event', 'trusonafication.accepted');
  await open(page, server, 'endpoints', { rp: shop.id });
  await choose(row(page, receiver.url), 'Send test');
  await expect(dialog(page)).toContainText(receiver.url);
  await confirm(page, 'Send test');
  await expect(heading(page, 'endpoint.test')).toBeVisible();
  await expectSoon(page, page.getByText('HTTP 418'));
  await expect(page.getByRole('group', { name: 'Response' })).toHaveText('I am a teapot');
  await expect(page.getByRole('group', { name: 'Payload' })).toContainText('"type": "endpoint.test"');
  expect(JSON.parse(receiver.calls[0].body)).toMatchObject({ type: 'endpoint.test', data: {} });
  await open(page, server, 'audit', { method: 'TestEndpoint', 'relying-party': shop.id });
  await expect(row(page, 'TestEndpoint')).toContainText('OK');
});

test('what an endpoint missed while it was off is sent again, all of it', async ({ page, server, receiver }) => {
  const shop = await shopOf(server);
  await shop.admin('endpoints', 'create', receiver.url);
  await open(page, server, 'endpoints', { rp: shop.id });
  await choose(row(page, receiver.url), 'Switch off');
  await confirm(page, 'Switch off');
  await expectToast(page, 'Switched off');
  await expect(row(page, receiver.url)).toContainText('Off');
  await end(shop);
  await open(page, server, 'deliveries', { rp: shop.id });
  await expectSoon(page, row(page, 'trusonafication.canceled').getByText('Exhausted'));
  expect(receiver.calls).toEqual([]);

  await open(page, server, 'endpoints', { rp: shop.id });
  await choose(row(page, receiver.url), 'Switch on');
  await confirm(page, 'Switch on');
  await expect(row(page, receiver.url)).toContainText('On');
  await open(page, server, 'deliveries', { rp: shop.id });
  await page.getByRole('button', { name: 'Send again' }).click();
  await dialog(page).getByLabel('Created in').selectOption('The last hour');
  await confirm(page, 'Send again');
  await expectToast(page, 'Sending 1 delivery again');
  await expect.poll(() => receiver.calls.length).toBe(1);
  await expectSoon(page, row(page, 'trusonafication.canceled').getByText('Succeeded'));
});

test('a receiver that says it is gone is switched off, and why is said', async ({ page, server, receiver }) => {
  const shop = await shopOf(server);
  await shop.admin('endpoints', 'create', receiver.url);
  receiver.answer = { status: 410 };
  await end(shop);
  await open(page, server, 'endpoints', { rp: shop.id });
  await expectSoon(page, row(page, receiver.url).getByText('it answered 410 Gone'));
});

test('deliveries are filtered by state and endpoint, and by an address that can be shared', async ({
  page,
  server,
  receiver,
}) => {
  const shop = await shopOf(server);
  await shop.admin('endpoints', 'create', receiver.url);
  await shop.admin('endpoints', 'create', `${receiver.url}/other`);
  await end(shop);
  await expect.poll(() => receiver.calls.length).toBe(2);
  await open(page, server, 'deliveries', { rp: shop.id });
  const rows = row(page, 'trusonafication.canceled');
  await expect(rows).toHaveCount(2);
  await page.getByLabel('Endpoint').selectOption(`${receiver.url}/other`);
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText('/other');
  await page.reload();
  await expect(rows).toHaveCount(1);
  await expect(page.getByLabel('Endpoint').getByRole('option', { selected: true })).toHaveText(/other$/);
  await page.getByLabel('State').selectOption('Exhausted');
  await expect(page.getByText('Nothing matches')).toBeVisible();
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect(rows).toHaveCount(2);
});

test('an endpoint gets new keys, and the old ones sign, too, for as long as is chosen', async ({
  page,
  server,
  receiver,
}) => {
  const shop = await shopOf(server);
  const { secret: old } = await shop.admin('endpoints', 'create', receiver.url);
  await open(page, server, 'endpoints', { rp: shop.id });
  await choose(row(page, receiver.url), 'Rotate keys');
  await dialog(page).getByLabel('How long the old keys also sign').selectOption('An hour');
  await dialog(page).getByRole('button', { name: 'Rotate', exact: true }).click();
  const secret = await keepSecret(page);
  await expect(row(page, receiver.url)).toContainText(/the previous keys also sign until in (59 min|1 hr)/);
  await end(shop);
  await expect.poll(() => receiver.calls.length).toBe(1);
  expect([secret, old].map((key) => isSigned(receiver.calls[0], key))).toEqual([true, true]);
});

test('an endpoint is changed, and deleted, and then told nothing', async ({ page, server, receiver }) => {
  const shop = await shopOf(server);
  await shop.admin('endpoints', 'create', `${receiver.url}/stays`);
  await shop.admin('endpoints', 'create', `${receiver.url}/new`);
  await open(page, server, 'endpoints', { rp: shop.id });
  await choose(row(page, '/new'), 'Change');
  await dialog(page).getByLabel('URL').fill(`${receiver.url}/moved`);
  await confirm(page, 'Save');
  await expect(row(page, '/moved')).toContainText('all events');
  await choose(row(page, '/moved'), 'Delete');
  await expect(dialog(page)).toContainText(`${receiver.url}/moved`);
  await confirm(page, 'Delete');
  await expectToast(page, 'Deleted');
  await expect(row(page, receiver.url)).toHaveCount(1);
  await end(shop);
  await expect.poll(() => receiver.calls.map(({ path }) => path)).toEqual(['/nodkey/stays']);
});

test('a delivery about a device leads to the device, and is found by it', async ({ page, server, receiver }) => {
  const shop = await tenant(server);
  await shop.admin('endpoints', 'create', receiver.url, '--event', 'device.registered');
  const [{ device }] = [await shop.register('ada'), await shop.register('grace')];
  await expect.poll(() => receiver.calls.length).toBe(2);
  await open(page, server, 'deliveries', { rp: shop.id });
  await expect(page.getByRole('link', { name: 'device.registered' })).toHaveCount(2);
  await page.getByLabel('About').fill(`device/${device}`);
  await page.getByLabel('About').press('Enter');
  await expect(page.getByRole('link', { name: 'device.registered' })).toHaveCount(1);
  await page.getByRole('link', { name: 'device.registered' }).click();
  await expect(heading(page, 'device.registered')).toBeFocused();
  await page
    .getByRole('main')
    .getByRole('link', { name: device.slice(0, 6) })
    .click();
  await expect(page.getByText('ada’s phone')).toBeVisible();
});
