/** Operators: invited, of a role, and out when an owner says so; what they did is written down. */

import { heading, touch } from './support/acme.js';
import {
  choose,
  code,
  confirm,
  confirmOn,
  confirmTwice,
  dialog,
  enter,
  expectToast,
  go,
  invite,
  open,
  row,
  rpc,
} from './support/console.js';
import { expect, test } from './support/console_test.js';
import { enrol as softPhone, signIn, signInAs } from './support/soft_phone.js';
import { tenant } from './support/tenant.js';

/** @typedef {import('@playwright/test').Page} Page */

/** What each view shows an auditor, too, and the buttons that are there for others. */
const VIEWS = /** @type {[view: string, shown: string, buttons: (string | RegExp)[]][]} */ ([
  ['credentials', 'Server', ['Create credential', /^Actions on Server/]],
  ['endpoints', 'all events', ['Create endpoint', /^Actions on http/]],
  ['deliveries', 'No deliveries yet', ['Send again']],
  ['users', 'ada’s phone', ['Retire device', 'Deactivate binding', 'Deactivate user']],
  ['trusonafication', 'Waiting for the answer', ['Cancel']],
  ['settings', 'Secure QR codes', ['Save', 'Disable']],
  ['relying-parties', 'Acme Bank', ['Create relying party']],
  ['signing-keys', 'Current', ['Rotate']],
  ['operators', 'First owner', ['Invite', /^Actions on/]],
]);

let people = 0;

/**
 * A name that no operator has yet.
 * @param {string} first
 */
function somebody(first) {
  people += 1;
  return `${first} ${people}`;
}

/** @param {Page} page */
async function expectSignedOut(page) {
  await expect(heading(page, 'Sign in')).toBeVisible();
  await expect(code(page)).toBeVisible();
}

test('an auditor is invited by a link that is shown once', async ({ page, elsewhere, server, confirmOnPhone }) => {
  const name = somebody('Audrey');
  await open(page, server, 'operators');
  await page.getByRole('button', { name: 'Invite' }).click();
  await dialog(page).getByLabel('Role').selectOption('Auditor');
  await dialog(page).getByRole('button', { name: 'Create link' }).click();
  await expect(dialog(page).getByLabel('Name')).toHaveAccessibleDescription(/must not be blank/);
  await dialog(page).getByLabel('Name').fill(name);
  await dialog(page).getByRole('button', { name: 'Create link' }).click();
  await confirmOnPhone();
  const shown = dialog(page, `Invitation for ${name}`);
  await expect(shown.getByRole('img', { name: 'Invitation link as a QR code' })).toBeVisible();
  const link = await shown.getByRole('code').innerText();
  await page.keyboard.press('Escape');
  await shown.getByRole('button', { name: 'Done' }).click();
  await expect(shown).toBeHidden();
  expect(await page.content()).not.toContain(link);
  await expect(row(page, name)).toContainText('Invited');
  await page.reload();
  await expect(row(page, name)).toContainText('Auditor');
  expect(await page.content()).not.toContain(link);

  await enter(elsewhere, server, link);
  await expect(elsewhere.getByRole('button', { name: `${name}, auditor` })).toBeVisible();
  await page.reload();
  await expect(row(page, name)).toContainText('Active');
});

test('an auditor sees everything, no button to change it, and is refused who calls without one', async ({
  page,
  elsewhere,
  server,
}) => {
  const shop = await tenant(server);
  await shop.enrol('ada');
  await shop.admin('credentials', 'create', 'server');
  await shop.admin('endpoints', 'create', 'http://127.0.0.1:9/nodkey');
  const { id } = await shop.ask('ada', 'pay 1');
  await signInAs(elsewhere, server, somebody('Audrey'), 'auditor');
  for (const [view, shown, buttons] of VIEWS) {
    const query = { rp: shop.id, ...(view === 'users' && { user: 'ada' }), ...(view === 'trusonafication' && { id }) };
    for (const [who, isThere] of /** @type {[Page, boolean][]} */ ([
      [page, true],
      [elsewhere, false],
    ])) {
      await open(who, server, view, query);
      const main = who.getByRole('main');
      await expect(main.getByText(shown).first()).toBeVisible();
      for (const name of buttons)
        await expect(main.getByRole('button', { name }).first()).toBeVisible({ visible: isThere });
    }
  }
  await open(elsewhere, server, 'settings', { rp: shop.id });
  await expect(elsewhere.getByLabel('Name', { exact: true })).toHaveValue(shop.name);
  await expect(elsewhere.getByLabel('Name', { exact: true })).toBeDisabled();
  const calls = /** @type {[string, object][]} */ ([
    ['registry.v1.RelyingPartyService/CreateRelyingParty', { name: 'Mine' }],
    ['registry.v1.CredentialService/CreateCredential', { relyingPartyId: shop.id, kind: 'CREDENTIAL_KIND_SERVER' }],
    ['registry.v1.OperatorService/InviteOperator', { name: 'Mallory', role: 'ROLE_OWNER' }],
    ['registry.v1.SigningKeyService/RotateSigningKey', { algorithm: 'EdDSA' }],
    ['trusonafication.v1.SigningKeyService/RotateSigningKey', { algorithm: 'EdDSA' }],
  ]);
  for (const [method, message] of calls) {
    expect(await rpc(elsewhere, method, message)).toEqual({ status: 403, error: 'NOT_ALLOWED' });
  }
});

test('an operator acts for relying parties and leaves operators and signing keys alone', async ({
  elsewhere: page,
  server,
}) => {
  await signInAs(page, server, somebody('Otto'), 'operator');
  await open(page, server, 'overview');
  await go(page, 'Relying parties');
  await expect(page.getByRole('button', { name: 'Create relying party' })).toBeVisible();
  await go(page, 'Operators');
  await expect(row(page, 'First owner')).toContainText('Owner');
  await expect(page.getByRole('main').getByRole('button')).toHaveCount(0);
  await go(page, 'Signing keys');
  await expect(row(page, 'Current')).toHaveCount(2);
  await expect(page.getByRole('button', { name: 'Rotate' })).toHaveCount(0);
  const invitation = { name: 'Mallory', role: 'ROLE_OWNER' };
  const refused = await rpc(page, 'registry.v1.OperatorService/InviteOperator', invitation);
  expect(refused).toEqual({ status: 403, error: 'NOT_ALLOWED' });
});

test('another role holds from the next call on', async ({ page, elsewhere, server, confirmOnPhone }) => {
  const name = somebody('Otto');
  await signInAs(elsewhere, server, name, 'operator');
  await open(elsewhere, server, 'relying-parties');
  await open(page, server, 'operators');
  await choose(row(page, name), 'Change');
  await dialog(page).getByLabel('Role').selectOption('Auditor');
  await confirmTwice(page, 'Save', confirmOnPhone);
  await expectToast(page, 'Saved');
  await expect(row(page, name)).toContainText('Auditor');

  await elsewhere.getByRole('button', { name: 'Create relying party' }).click();
  await dialog(elsewhere).getByLabel('Name').fill('Mine');
  await dialog(elsewhere).getByRole('button', { name: 'Create' }).click();
  await expect(dialog(elsewhere)).toContainText('the role auditor may not call this method');
  await elsewhere.reload();
  await expect(elsewhere.getByRole('button', { name: `${name}, auditor` })).toBeVisible();
  await expect(row(elsewhere, 'Acme Bank')).toBeVisible();
  await expect(elsewhere.getByRole('button', { name: 'Create relying party' })).toHaveCount(0);
});

test('who is disabled is signed out at the next call, and the phone signs in no more', async ({
  page,
  elsewhere,
  server,
  confirmOnPhone,
}) => {
  const name = somebody('Otto');
  const phone = await enter(elsewhere, server, (await invite(server, name, 'operator')).link);
  await open(page, server, 'operators');
  await choose(row(page, name), 'Disable');
  await confirmTwice(page, 'Disable', confirmOnPhone);
  await expect(row(page, name)).toContainText('Disabled');
  await expect(row(page, name).getByRole('button')).toHaveCount(0);
  await expectSignedOut(elsewhere);
  await expect(elsewhere.getByText('Your session has ended. Sign in again.')).toBeVisible();
  await phone.reload();
  await code(elsewhere).click();
  await expect(heading(phone, 'This code cannot be used')).toBeVisible();
});

test('a new invitation ends the phone before it, and the session', async ({
  page,
  elsewhere,
  browser,
  server,
  confirmOnPhone,
}) => {
  const name = somebody('Otto');
  await enter(elsewhere, server, (await invite(server, name, 'operator')).link);
  await open(page, server, 'operators');
  await choose(row(page, name), 'New invitation');
  await expect(dialog(page)).toContainText('Their current phone and sessions are revoked immediately');
  await dialog(page).getByRole('button', { name: 'Create link' }).click();
  await confirmOnPhone();
  const link = await dialog(page, `Invitation for ${name}`).getByRole('code').innerText();
  await dialog(page).getByRole('button', { name: 'Done' }).click();
  await elsewhere.reload();
  await expectSignedOut(elsewhere);
  const another = await browser.newContext({ storageState: undefined });
  await enter(await another.newPage(), server, link);
  await another.close();
});

test('owners neither disable themselves nor change their own role', async ({ page, server }) => {
  await open(page, server, 'operators');
  const own = row(page, '(you)');
  await own.getByRole('button', { name: /^Actions on/ }).click();
  await expect(own.getByRole('listitem')).toHaveText(['Change', 'New invitation', 'Sessions']);
  await own.getByRole('button', { name: 'Change' }).click();
  await expect(dialog(page).getByRole('textbox', { name: 'Name' })).toHaveValue('First owner');
  await expect(dialog(page).getByLabel('Role')).toHaveCount(0);
  const { operator } = await page.evaluate(async () => (await fetch('/console/api/session')).json());
  const refused = await rpc(page, 'registry.v1.OperatorService/DisableOperator', { id: operator.id });
  expect(refused, 'the phone would be asked first').toEqual({ status: 424, error: 'CONFIRMATION_REQUIRED' });
});

test('the audit log says who did what for whom and how it went, without secrets', async ({
  page,
  elsewhere,
  server,
}) => {
  const name = somebody('Otto');
  const shop = await tenant(server);
  await signInAs(elsewhere, server, name, 'operator');
  await open(elsewhere, server, 'credentials', { rp: shop.id });
  await elsewhere.getByRole('button', { name: 'Create credential' }).first().click();
  await dialog(elsewhere).getByRole('button', { name: 'Create', exact: true }).click();
  const shown = dialog(elsewhere, 'The new credential').getByRole('code');
  await expect(shown).toHaveCount(2);
  const [, secret] = await shown.allTextContents();
  await dialog(elsewhere).getByRole('button', { name: 'I have saved it' }).click();
  await open(elsewhere, server, 'endpoints', { rp: shop.id });
  await elsewhere.getByRole('button', { name: 'Create endpoint' }).first().click();
  await dialog(elsewhere).getByLabel('URL').fill('nonsense');
  await dialog(elsewhere).getByRole('button', { name: 'Create', exact: true }).click();
  await expect(dialog(elsewhere).getByLabel('URL')).toHaveAttribute('aria-invalid', 'true');

  await open(page, server, 'audit');
  await page.getByLabel('Operator').selectOption(name);
  const entries = page.getByRole('rowheader');
  await expect(entries).toHaveText([
    /^CreateEndpoint/,
    /^CreateCredential/,
    /^CreateOperatorSession/,
    /^AcceptInvitation/,
  ]);
  await expect(row(page, 'CreateEndpoint')).toContainText('VALIDATION_FAILED');
  await expect(row(page, 'CreateCredential')).toContainText(`${name}Operator${shop.name}OK`);
  await page.reload();
  await expect(entries).toHaveCount(4);
  await page.getByLabel('Method').fill('CreateCredential');
  await page.getByLabel('Method').press('Enter');
  await expect(entries).toHaveCount(1);
  await page.getByRole('button', { name: 'CreateCredential' }).click();
  const entry = dialog(page, 'CreateCredential');
  await expect(entry.getByRole('group', { name: 'Request' })).toContainText('CREDENTIAL_KIND_SERVER');
  await expect(entry).toContainText(`By${name}, operator`);
  expect(await page.content()).not.toContain(secret);
  await entry.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByLabel('Relying party', { exact: true }).selectOption(shop.name);
  // What its settings are was said when it was made.
  await expect(entries).toHaveText([/^CreateEndpoint/, /^CreateCredential/, /^UpdateRelyingParty/]);
});

test('inviting an owner asks the phone what exactly is to be done, and nothing is done when it says no', async ({
  elsewhere: page,
  server,
}) => {
  const [ada, eve] = [somebody('Ada'), somebody('Eve')];
  const phone = await softPhone(server.url, (await invite(server, ada, 'owner')).link);
  await signIn(page, server, phone);
  await open(page, server, 'operators');
  await page.getByRole('button', { name: 'Invite' }).click();
  await dialog(page).getByLabel('Name').fill(eve);
  await dialog(page).getByLabel('Role').selectOption('Owner');
  const make = dialog(page).getByRole('button', { name: 'Create link' });
  await make.click();
  const asked = dialog(page, 'Confirm on your phone');
  await expect(asked).toContainText('invite an owner');
  await expect(asked).toContainText(eve);
  await asked.getByRole('button', { name: 'Cancel' }).click();
  await expect(dialog(page)).toContainText('Not confirmed. Nothing was changed.');
  await make.click();
  expect(await confirmOn(page, phone)).toBe(`invite an owner: ${eve}`);
  await expect(dialog(page, `Invitation for ${eve}`).getByRole('code')).toBeVisible();
  await dialog(page).getByRole('button', { name: 'Done' }).click();
  await expect(row(page, eve)).toHaveCount(1);
});

test('the phone in the browser confirms by the number that the page shows', async ({ elsewhere: page, server }) => {
  const name = somebody('Ada');
  const phone = await enter(page, server, (await invite(server, name, 'owner')).link);
  await open(page, server, 'operators');
  await choose(row(page, '(you)'), 'Change');
  await dialog(page).getByRole('textbox', { name: 'Name' }).fill(`${name} Lovelace`);
  await dialog(page).getByRole('button', { name: 'Save' }).click();
  const shown = dialog(page, 'Confirm on your phone');
  const number = await shown.getByRole('status').innerText();
  await expect(phone.getByText(`rename to ${name} Lovelace`)).toBeVisible();
  await phone.getByLabel(/digits that the page shows/).fill(number);
  await phone.getByRole('button', { name: 'Accept' }).click();
  await touch(phone);
  await expect(shown).toBeHidden();
  await expectToast(page, 'Saved');
});

test('operators see where they are signed in and end it, and owners end the sessions of others', async ({
  page,
  elsewhere,
  server,
}) => {
  const name = somebody('Audrey');
  await signInAs(elsewhere, server, name, 'auditor');
  await open(elsewhere, server, 'overview');
  await elsewhere.getByRole('button', { name: `${name}, auditor` }).click();
  await elsewhere.getByRole('link', { name: 'Your sessions' }).click();
  await expect(heading(elsewhere, 'Your sessions')).toBeFocused();
  await expect(row(elsewhere, '(this one)')).toContainText('127.0.0.1');
  await expect(elsewhere.getByRole('rowheader')).toHaveCount(1);

  await open(page, server, 'operators');
  await choose(row(page, name), 'Sessions');
  await expect(heading(page, 'Sessions')).toBeFocused();
  await page.getByRole('main').getByRole('button', { name: 'End' }).click();
  await confirm(page, 'End');
  await expectToast(page, 'Ended');
  await expect(page.getByText('No sessions')).toBeVisible();
  await elsewhere.reload();
  await expectSignedOut(elsewhere);
});
