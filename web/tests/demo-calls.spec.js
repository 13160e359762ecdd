/** The steps of the demo, and the calls and events that each of them makes. */

import { readFile } from 'node:fs/promises';

import { accept, heading, openBank, send, signInByCode } from './support/acme.js';
import { expect, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */

/** @param {Page} page */
const step = (page) => page.getByRole('navigation', { name: 'Steps' }).locator('[aria-current=step]');

/** @param {Page} page */
const panel = (page) => page.getByRole('region', { name: 'Calls and events' });

/**
 * The line of a call or an event.
 * @param {Page} page
 * @param {RegExp} text
 */
const call = (page, text) => panel(page).getByRole('listitem').filter({ hasText: text });

test('the steps are numbered, and the next one follows what was done', async ({ page, server }) => {
  await page.goto(`${server.url}/demo`);
  await expect(step(page)).toHaveText('1Set up a phone');
  const { phone } = await openBank(page, server);
  await expect(step(page)).toHaveText('2Sign in');
  await page.reload();
  await expect(step(page)).toHaveText('2Sign in');
  await signInByCode(page, phone);
  await expect(step(page)).toHaveText('3Confirm a transfer');
  await send(page, 'Alan Turing', '90.00');
  await accept(phone);
  await expect(heading(page, 'Money sent')).toBeVisible();
  await expect(step(page)).toHaveCount(0);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(step(page)).toHaveText('2Sign in');
});

test('each call and event of each step is shown as it happens, as curl without the secret, to its browser alone', async ({
  page,
  elsewhere,
  server,
}) => {
  const { user, phone } = await openBank(page, server);
  await expect(call(page, /^POST\/api\/v2\/user_devices201Step 1/)).toHaveCount(1);
  await expect(call(page, /^PATCH\/api\/v2\/user_devices\/[\w-]+200Step 1/)).toHaveCount(1);
  await signInByCode(page, phone);
  await expect(call(page, /^POST\/api\/v2\/trucodes201Step 2/)).not.toHaveCount(0);
  await expect(call(page, /^Eventtrusonafication\.acceptedStep 2/)).toHaveCount(1);
  await send(page, 'Alan Turing', '90.00');
  const created = call(page, /^POST\/api\/v2\/trusonafications201Step 3/);
  await created.locator('summary').click();
  await expect(created.getByRole('group', { name: 'Request' })).toContainText(`"user_identifier": "${user}"`);
  await expect(created.getByRole('group', { name: 'Response' })).toContainText('"status": "IN_PROGRESS"');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await created.getByRole('button', { name: 'Copy curl command' }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toContain(`curl -sS -X POST '${server.url}/api/v2/trusonafications'`);
  expect(copied).toContain('-H "Authorization: Bearer $TOKEN"');
  expect(copied).toContain('"action":"transfer 90.00 EUR to Alan Turing"');
  await accept(phone);
  await expect(call(page, /^Eventtrusonafication\.acceptedStep 3/)).toHaveCount(1);
  await expect(call(page, /^GET\/api\/v2\/trusonafications\/[\w-]+\/evidence200Step 4/)).toHaveCount(1);
  const { server: credential } = JSON.parse(await readFile(`${server.folder}/dev.json`, 'utf8'));
  const all = JSON.stringify(await (await page.request.get(`${server.url}/demo/api/calls`)).json());
  expect(all).not.toContain(credential.secret);
  expect(all).not.toContain(credential.token);
  await elsewhere.goto(`${server.url}/demo`);
  await expect(heading(elsewhere, 'Sign in')).toBeVisible();
  expect((await (await elsewhere.request.get(`${server.url}/demo/api/calls`)).json()).calls).toEqual([]);
});

test('a call that was refused is shown with its status and its error', async ({ page, server }) => {
  await page.goto(`${server.url}/demo`);
  await page.getByLabel('Your name').fill('nobody-at-all');
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  const refused = call(page, /^POST\/api\/v2\/trusonafications4\d\dStep 2/);
  await refused.locator('summary').click();
  await expect(refused.getByRole('group', { name: 'Response' })).toContainText('"error": "USER_HAS_NO_ACTIVE_DEVICE"');
});
