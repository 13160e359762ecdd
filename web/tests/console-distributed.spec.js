/** The console of five processes, over TLS, by a certificate of an authority of their own. */

import { readFile } from 'node:fs/promises';

import { heading } from './support/acme.js';
import { dialog, enter, go, row } from './support/console.js';
import { run } from './support/server.js';
import { expect, test } from './support/test.js';

const SERVICES = ['registry', 'binding', 'trusonafication', 'notification'];

/**
 * What scripts/up-native tells of the topology.
 * @returns {Promise<Record<string, string>>}
 */
async function native() {
  return JSON.parse(await readFile(String(process.env.NODKEY_TEST_NATIVE), 'utf8'));
}

test('an owner is invited, signs in by phone, sees every process ready, and acts', async ({ page }) => {
  const { http, audience, ca_certificate: authority, operator_key: key, ...urls } = await native();
  const grpc = SERVICES.map((service) => `${service}=${urls[service]}`).join(',');
  const options = ['--json', '--grpc', grpc, '--ca-certificate', authority, '--audience', audience];
  const invited = ['operators', 'invite', 'Ada Lovelace', '--role', 'owner'];
  const { link } = await run(['admin', ...options, ...invited], { NODKEY_OPERATOR_KEY: key });
  await enter(page, { url: http }, link);
  await expect(page.getByText('All 5 processes are ready')).toBeVisible();
  await expect(page.getByRole('table', { name: 'Processes' }).getByRole('rowheader')).toHaveText([
    ...SERVICES,
    'gateway',
  ]);

  await go(page, 'Relying parties');
  await page.getByRole('button', { name: 'Create relying party' }).first().click();
  await dialog(page).getByLabel('Name').fill('Acme Bank');
  await dialog(page).getByRole('button', { name: 'Create', exact: true }).click();
  await expect(heading(page, 'Credentials')).toBeFocused();
  await go(page, 'Audit log');
  await expect(row(page, 'CreateRelyingParty').first()).toContainText('Ada Lovelace');
  await page.getByRole('button', { name: 'Ada Lovelace, owner' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(heading(page, 'Sign in')).toBeVisible();
});
