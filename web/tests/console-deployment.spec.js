/** The deployment as a whole: how it is, what signs for it, and what is seen when it is away. */

import { heading, openPhone } from './support/acme.js';
import { confirmTwice, expectToast, go, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

const SERVICES = ['registry', 'binding', 'trusonafication', 'notification', 'gateway'];
const CHARTS = ['Logins', 'Waiting phones', 'Deliveries', 'Outbox', 'HTTP errors'];

/**
 * A chart, by its title and a value it has.
 * @param {Page} page
 * @param {string} title
 * @param {string} [reading]
 */
function chart(page, title, reading = '') {
  return page.getByRole('img', { name: new RegExp(`^${title}\\. .*${reading}`) });
}

test('the overview names every service as ready', async ({ page, server }) => {
  await open(page, server, 'overview');
  await expect(heading(page, 'Overview')).toBeVisible();
  const processes = page.getByRole('table', { name: 'Processes' });
  await expect(processes.getByText('Ready')).toBeVisible();
  for (const service of SERVICES) await expect(processes.getByRole('rowheader')).toContainText(service);
  await expect(page.getByRole('status').getByText('Ready', { exact: true })).toBeVisible();
  await expect(page.getByText('not all is well')).toBeHidden();
});

test('the overview charts how logins go', async ({ page, elsewhere, server }) => {
  const shop = await tenant(server);
  const phone = await shop.enrol('ada');
  await openPhone(elsewhere, server);
  await open(page, server, 'overview');
  for (const title of CHARTS) await expect(chart(page, title).locator('.line').first()).toHaveAttribute('d', /^M.+L/);
  // Times have a line only while phones answer.
  await expect(chart(page, 'Time to answer')).toBeVisible();
  await expect(chart(page, 'Waiting phones', 'Phones: [1-9]')).toBeVisible();
  await expect(chart(page, 'Deliveries', 'Pending: \\d')).toBeVisible();
  await shop.ask('ada', 'log in');
  await phone.answer('accept');
  await expect(chart(page, 'Logins', 'Accepted: 0\\.\\d+/s')).toBeVisible();
  await expect(chart(page, 'Time to answer', 'p50: [\\d.]+ m?s, p99: [\\d.]+ m?s')).toBeVisible();
});

test('a server that is away is said to be, and is looked for again', async ({ page, server }) => {
  const shop = await tenant(server);
  await open(page, server, 'overview', { rp: shop.id });
  await go(page, 'Credentials');
  await page.context().setOffline(true);
  await page.getByRole('link', { name: 'Deliveries' }).click();
  await expect(page.getByRole('alert')).toContainText('The server cannot be reached');
  await page.getByRole('link', { name: 'Credentials' }).click();
  await expect(page.getByRole('alert')).toContainText('UNREACHABLE');
  await page.getByRole('link', { name: 'Overview' }).click();
  await expect(page.getByText('The state of the deployment is not known')).toBeVisible();
  await expect(page.getByRole('link', { name: /^Overview.*not all is well/ })).toBeVisible();
  await page.context().setOffline(false);
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('status').getByText('Ready', { exact: true })).toBeVisible();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await go(page, 'Deliveries');
  await expect(page.getByText('Nothing was sent yet')).toBeVisible();
});

test('a view that could not be loaded is tried again', async ({ page, server }) => {
  const shop = await tenant(server);
  await page.route('**/ListCredentials', (route) => route.abort());
  await open(page, server, 'credentials', { rp: shop.id });
  await expect(page.getByRole('alert')).toContainText('The server cannot be reached');
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByText('There is no credential yet')).toBeVisible();
});

test('an address that is no view says so, and leads on', async ({ page, server }) => {
  await open(page, server, 'nothing');
  await expect(heading(page, 'Not found')).toBeVisible();
  await page.getByRole('main').getByRole('link', { name: 'Overview' }).click();
  await expect(heading(page, 'Overview')).toBeFocused();
});

test('a signing key is rotated or revoked, and what the old one signed still holds until then', async ({
  page,
  server,
  confirmOnPhone,
}) => {
  const shop = await tenant(server);
  const phone = await shop.enrol('ada');
  const { id } = await shop.ask('ada', 'log in');
  await phone.answer('accept');
  await open(page, server, 'signing-keys');
  await expect(row(page, 'Signs now')).toHaveCount(2);
  await page.getByRole('button', { name: 'Rotate' }).click();
  await page.getByLabel('Algorithm of the new key').selectOption('ES256 (P-256)');
  await confirmTwice(page, 'Rotate', confirmOnPhone);
  await expectToast(page, 'The new key is published');
  await expect(row(page, 'Signs now')).toHaveCount(2);
  await expect(row(page, 'Signs soon')).toContainText('ES256');
  await expect(row(page, 'Signs soon')).toContainText('trusonafication');
  const kids = async () => (await (await page.request.get(`${server.url}/jwks`)).json()).keys.length;
  expect(await kids()).toBe(3);
  await open(page, server, 'trusonafication', { rp: shop.id, id });
  await expect(page.getByText('Genuine', { exact: true })).toBeVisible();
  await open(page, server, 'signing-keys');
  await page.getByRole('button', { name: 'Rotate' }).click();
  await page.getByLabel('The old key is compromised').check();
  await confirmTwice(page, 'Rotate', confirmOnPhone);
  await expect(row(page, 'Revoked')).toHaveCount(2);
  await expect(row(page, 'Signs now')).toHaveCount(2);
  expect(await kids()).toBe(2);
});
