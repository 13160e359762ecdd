/** Another phone of the user's joins: this one says so until its person knows of it. */

import { HANDHELD, account, heading, openPhone } from './support/acme.js';
import { expect, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('./support/server.js').Server} Server */

test.use({ viewport: HANDHELD });

/**
 * Makes another phone a user's, as a backend does.
 * @param {Server} server
 * @param {string} user
 */
async function join(server, user) {
  const { device_identifier: device } = await server.phone(
    '--key',
    test.info().outputPath(`${user}-${Date.now()}.json`),
    'enrol',
  );
  const binding = await server.admin('bindings', 'create', '--user', user, `--device=${device}`);
  await server.admin('bindings', 'activate', binding.id);
}

/** @param {Page} page */
const notice = (page) => page.getByText('If it was not you, freeze your account and tell Acme Bank.');

test('a phone that joined is shown until the person says that it was them', async ({ page, server }) => {
  const user = await openPhone(page, server);
  await page.reload();
  await expect(account(page, user, 'Ready')).toBeVisible();
  await join(server, user);
  await page.reload();
  await expect(notice(page)).toBeVisible();
  await page.getByRole('button', { name: 'It was me' }).click();
  await expect(notice(page)).toBeHidden();
  const looked = page.waitForResponse(/\/status$/);
  await page.reload();
  await looked;
  await expect(account(page, user, 'Ready')).toBeVisible();
  await expect(notice(page)).toBeHidden();
  // Another one is news again.
  await join(server, user);
  await page.reload();
  await expect(notice(page)).toBeVisible();
});

test('who did not add the phone freezes the account there and then', async ({ page, server }) => {
  const user = await openPhone(page, server);
  await join(server, user);
  await page.reload();
  await page.getByRole('button', { name: 'Freeze my account' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Freeze' }).click();
  await expect(account(page, user, 'Frozen')).toBeVisible();
  await expect(notice(page)).toBeHidden();
  expect(await server.admin('users', 'show', user)).toMatchObject({ frozen: true, frozen_by: 'device' });
  await expect(heading(page, 'Your accounts')).toBeVisible();
});
