/** What the browser phone says of its presence key, and how it gets another. */

import { HANDHELD, account, ask, deviceOf, openPhone, statuses, touch } from './support/acme.js';
import { expectAccessible } from './support/axe.js';
import { expect, test } from './support/test.js';

test.use({ viewport: HANDHELD, bypassCSP: true, contextOptions: { reducedMotion: 'reduce' } });

const COUNTS = 'Phone and presence (level 2)';
const ALONE = 'Phone only (level 1)';

/**
 * Accepts something, and tells what that came to.
 * @param {import('@playwright/test').Page} page
 * @param {import('./support/server.js').Server} server
 * @param {string} user
 */
async function accepted(page, server, user) {
  await ask(server, user, 'open the door');
  await page.getByRole('button', { name: 'Accept' }).click();
  await touch(page);
  await expect.poll(async () => (await statuses(server, user))[0]).toMatch(/^ACCEPTED/);
  return (await statuses(server, user))[0];
}

test('a key that replaces another is vouched for by it and counts', async ({ page, server }) => {
  const user = await openPhone(page, server);
  const device = await deviceOf(server, user);
  const keyOf = async () => (await server.admin('devices', 'show', device)).presence_keys[0];
  const before = await keyOf();
  await account(page, user, 'Ready').click();
  await expect(page.getByText(COUNTS)).toBeVisible();
  await page.getByRole('button', { name: 'Replace the key' }).click();
  await touch(page);
  await expect(page.getByText('The key was replaced')).toBeVisible();
  await expect(page.getByText(COUNTS)).toBeVisible();
  const after = await keyOf();
  expect(after.counts).toBe(true);
  expect(after.thumbprint).not.toBe(before.thumbprint);
  await page.getByRole('button', { name: 'Back' }).click();
  expect(await accepted(page, server, user)).toBe('ACCEPTED');
  // Also as the page that is opened anew.
  await page.reload();
  expect(await accepted(page, server, user)).toBe('ACCEPTED');
});

test('a key that nobody vouched for is said to prove the phone alone, until the site approves it', async ({
  page,
  server,
}) => {
  const user = await openPhone(page, server);
  const device = await deviceOf(server, user);
  // Its key is lost, as where fingerprints changed: the next one is there alone.
  await page.evaluate(async () => {
    const load = (/** @type {string} */ path) => import(/** @type {any} */ (path));
    const { listAccounts, putAccount } = await load('/assets/phone/store.js');
    const { generateKey, keyStore } = await load('/assets/phone/keys.js');
    const { Phone } = await load('/assets/phone/protocol.js');
    const [stored] = await listAccounts();
    stored.presenceKey = await generateKey();
    const keys = await keyStore(stored.deviceKey, stored.presenceKey, async () => {});
    const phone = await Phone.open({ gateway: stored.gateway, origin: location.origin, keys });
    await phone.replaceKeys(keys, []);
    await putAccount(stored);
  });
  await page.reload();
  expect(await accepted(page, server, user)).toBe('ACCEPTED_AT_LOWER_LEVEL');
  await account(page, user, 'Ready').click();
  await expect(page.getByText(ALONE)).toBeVisible();
  await expectAccessible(page, 'a key that does not count');
  const [{ thumbprint, counts }] = (await server.admin('devices', 'show', device)).presence_keys;
  expect(counts).toBe(false);
  await server.admin('devices', 'approve-keys', '--', device, thumbprint);
  await page.reload();
  await account(page, user, 'Ready').click();
  await expect(page.getByText(COUNTS)).toBeVisible();
  await page.getByRole('button', { name: 'Back' }).click();
  expect(await accepted(page, server, user)).toBe('ACCEPTED');
});

test('a page that was closed while its key was replaced finds out which one the site knows', async ({
  page,
  server,
}) => {
  const user = await openPhone(page, server);
  await page.route('**/api/v2/devices/*', async (route) => {
    if (route.request().method() !== 'PATCH') return route.continue();
    // It arrives, and its answer does not.
    await route.fetch();
    await route.abort();
  });
  await account(page, user, 'Ready').click();
  await page.getByRole('button', { name: 'Replace the key' }).click();
  await touch(page);
  await expect(page.getByText('The key was not replaced.')).toBeVisible();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await page.reload();
  expect(await accepted(page, server, user)).toBe('ACCEPTED');
});

test('the phone on the terminal does the same', async ({ server }) => {
  const { device_identifier: device } = await server.phone('enrol');
  const [first] = (await server.phone('keys')).items;
  expect(first.counts).toBe(true);
  const [second] = (await server.phone('renew-key')).items;
  expect(second.thumbprint).not.toBe(first.thumbprint);
  expect(second.counts).toBe(true);
  const [third] = (await server.phone('renew-key', '--lost')).items;
  expect(third.counts).toBe(false);
  expect(await server.phone('status')).toMatchObject({ device_identifier: device, counting_keys: 0 });
  await server.admin('devices', 'approve-keys', '--', device, third.thumbprint);
  expect((await server.phone('keys')).items).toEqual([{ ...third, counts: true }]);
});
