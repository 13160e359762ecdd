/** The address of a deployment explains itself, and the reference of the HTTP API can be read, and copied from. */

import { execFileSync } from 'node:child_process';

import { expectAccessible } from './support/axe.js';
import { HANDHELD } from './support/acme.js';
import { expect, test } from './support/test.js';

test.describe('for whoever reads', () => {
  test.use({ bypassCSP: true, contextOptions: { reducedMotion: 'reduce' } });

  test('the address explains itself, and leads to the reference', async ({ page, server }) => {
    await page.goto(server.url);
    await expectAccessible(page, 'home');
    await page.getByRole('link', { name: 'HTTP API' }).click();
    await expect(page.getByRole('heading', { name: 'Nodkey HTTP API' })).toBeVisible();
    await expectAccessible(page, 'docs');
  });
});

test('every operation is there, from this server alone', async ({ page, server }) => {
  /** @type {string[]} */
  const elsewhere = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(server.url)) elsewhere.push(request.url());
  });
  await page.goto(`${server.url}/docs`);
  const document_ = await (await fetch(`${server.url}/openapi.json`)).json();
  const items = [...Object.values(document_.paths), ...Object.values(document_.webhooks)];
  const ids = items.flatMap((item) => Object.values(item)).map(({ operationId }) => operationId);
  await expect(page.locator('section.operation')).toHaveCount(ids.length);
  expect(await page.locator('section.operation').evaluateAll((all) => all.map(({ id }) => id).toSorted())).toEqual(
    ids.toSorted(),
  );
  expect(elsewhere).toEqual([]);
});

test('a link leads to an operation', async ({ page, server }) => {
  await page.goto(`${server.url}/docs#getEvidence`);
  await expect(
    page.getByRole('heading', { name: 'Returns the evidence of an answered trusonafication.' }),
  ).toBeInViewport();
});

test('nothing is wider than a small phone', async ({ page, server }) => {
  await page.setViewportSize({ ...HANDHELD, width: 360 });
  for (const path of ['/', '/docs']) {
    await page.goto(`${server.url}${path}`);
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  }
});

test('what is copied for curl works as it is', async ({ page, server }) => {
  await page.goto(`${server.url}/docs`);
  const token = await page.locator('#start').getByRole('code').filter({ hasText: 'openssl' }).innerText();
  const here = token.replace('.nodkey/', `${server.folder}/`);
  /** @param {string} operation */
  const type = async (operation) => {
    const command = await page.locator(`#${operation} .copyable.block code`).first().innerText();
    const said = execFileSync('bash', ['-euo', 'pipefail', '-c', `${here}\n${command}`]);
    return JSON.parse(said.toString());
  };
  expect(await type('listUserDevices')).toEqual({ devices: [] });
  expect(await type('registerIdentifier')).toEqual({ identifier: 'ada@example.com', trusona_id: '123456789' });
  expect((await type('createUserDevice')).error).toBe('DEVICE_NOT_FOUND');
  expect((await type('getJwks')).keys.length).toBeGreaterThan(0);
});
