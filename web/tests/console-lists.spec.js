/** What lists have in common: periods, their order, and files of what they show. */

import { readFile } from 'node:fs/promises';

import { dialog, open, row } from './support/console.js';
import { expect, test } from './support/console_test.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

/**
 * Saves a list as a file, and reads it.
 * @param {Page} page
 */
async function exported(page) {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export CSV' }).click(),
  ]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
}

test('trusonafications are listed by period and order, and what is listed is exported without formulas', async ({
  page,
  server,
}) => {
  const shop = await tenant(server);
  await shop.enrol('ada');
  for (const action of ['first', '=cmd()', 'third, "quoted"']) await shop.ask('ada', action);
  await open(page, server, 'trusonafications', { rp: shop.id });
  const actions = page.getByRole('rowheader').getByRole('link');
  await expect(actions).toHaveText(['third, "quoted"', '=cmd()', 'first']);
  await page.getByLabel('Order').selectOption('Oldest first');
  await expect(actions).toHaveText(['first', '=cmd()', 'third, "quoted"']);
  await page.getByLabel('Period').selectOption('Last hour');
  await expect(actions).toHaveText(['first', '=cmd()', 'third, "quoted"']);
  await page.reload();
  await expect(actions).toHaveText(['first', '=cmd()', 'third, "quoted"']);
  const { name, text } = await exported(page);
  expect(name).toMatch(/^trusonafications-\d{4}-\d\d-\d\d\.csv$/);
  expect(text).toMatch(/^\ufeff/);
  const [head, ...lines] = text.trim().split('\r\n');
  expect(head).toBe('Request,Status,User,Device,Level,Created');
  expect(lines.map((line) => line.split(',In progress')[0])).toEqual(['first', "'=cmd()", '"third, ""quoted"""']);
});

test('a list without anything in its period says that nothing matches', async ({ page, server }) => {
  const shop = await tenant(server);
  await shop.enrol('ada');
  await shop.ask('ada', 'log in');
  await open(page, server, 'trusonafications', { rp: shop.id, period: '24h', before: '2020-01-01T00:00:00Z' });
  await expect(page.getByText('Nothing matches')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Export CSV' })).toBeHidden();
});

test('more pages than one are one file', async ({ page, server }) => {
  const shop = await tenant(server);
  /** @type {Record<string, unknown>[]} */
  const sent = [];
  await page.route('**/ListAuditEntries', async (route) => {
    const asked = route.request().postDataJSON();
    const { pageToken = '', pageSize } = asked;
    if (pageSize === 500) sent.push(asked);
    const actor = pageToken || 'first';
    const entry = { id: actor, at: '2026-01-01T00:00:00Z', actor, role: 'owner', method: 'a/B', request: '' };
    const entries = [{ ...entry, outcome: 'OK', traceId: '' }];
    await route.fulfill({ json: { entries, nextPageToken: pageToken ? '' : 'second' } });
  });
  await open(page, server, 'audit', { 'relying-party': shop.id });
  const { text } = await exported(page);
  expect(text.trim().split('\r\n')).toEqual([
    'Action,Operator,Role,Relying party,Outcome,Time',
    'a/B,first,owner,,OK,2026-01-01T00:00:00Z',
    'a/B,second,owner,,OK,2026-01-01T00:00:00Z',
  ]);
  expect(sent.map(({ pageToken, relyingPartyId }) => [pageToken, relyingPartyId])).toEqual([
    [undefined, shop.id],
    ['second', shop.id],
  ]);
});

test('a file has the filters that it was asked for with, whatever is chosen while its pages are read', async ({
  page,
  server,
}) => {
  const shop = await tenant(server);
  /** @type {Record<string, unknown>[]} */
  const sent = [];
  let release = () => {};
  /** @type {Promise<void>} */
  const released = new Promise((resolve) => (release = resolve));
  /** @type {Record<string, string>} */
  const following = { '': 'second', second: 'third', third: '' };
  await page.route('**/ListAuditEntries', async (route) => {
    const { pageToken = '', ...asked } = route.request().postDataJSON();
    if (asked.pageSize === 500) {
      sent.push(asked);
      if (pageToken === 'second') await released;
    }
    const entry = { id: pageToken || 'first', at: '2026-01-01T00:00:00Z', actor: 'ada', role: 'owner', method: 'a/B' };
    const entries = [{ ...entry, request: '', outcome: 'OK', traceId: '' }];
    await route.fulfill({ json: { entries, nextPageToken: following[pageToken] } });
  });
  await open(page, server, 'audit', { 'relying-party': shop.id, period: '24h' });
  const file = exported(page);
  await expect.poll(() => sent.length).toBe(2);
  await page.getByLabel('Outcome').selectOption('Read');
  await page.getByLabel('Order').selectOption('Oldest first');
  await expect(page).toHaveURL(/order=oldest/);
  release();
  expect((await file).text.trim().split('\r\n')).toHaveLength(4);
  expect(sent).toHaveLength(3);
  expect(sent[0]).toMatchObject({ relyingPartyId: shop.id, createdAfter: expect.any(String) });
  expect(sent[0]).not.toHaveProperty('outcome');
  expect(sent[1]).toEqual(sent[0]);
  expect(sent[2]).toEqual(sent[0]);
});

test('the audit log is filtered by outcome and time', async ({ page, server }) => {
  const shop = await tenant(server);
  await open(page, server, 'credentials', { rp: shop.id });
  await page.getByRole('button', { name: 'Create credential' }).first().click();
  await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
  await dialog(page).getByRole('button', { name: 'I have saved it' }).click();
  await open(page, server, 'users', { rp: shop.id });
  await expect(page.getByText('No users yet')).toBeVisible();
  await open(page, server, 'audit', { 'relying-party': shop.id });
  await expect(row(page, 'ListUsers').first()).toContainText('Read');
  await expect(row(page, 'CreateCredential')).toContainText('OK');
  await page.getByLabel('Outcome').selectOption('OK');
  await expect(row(page, 'ListUsers')).toHaveCount(0);
  await expect(row(page, 'CreateCredential')).toBeVisible();
  await page.getByLabel('Outcome').selectOption('Read');
  await expect(row(page, 'CreateCredential')).toHaveCount(0);
  await expect(row(page, 'ListUsers').first()).toBeVisible();
  await page.getByLabel('Outcome').selectOption('Refused or failed');
  await expect(page.getByText('Nothing matches')).toBeVisible();
  await page.getByLabel('Outcome').selectOption('Any');
  await page.getByLabel('Before').fill('2020-01-01T00:00');
  await expect(page.getByText('Nothing matches')).toBeVisible();
});
