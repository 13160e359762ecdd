/** Every view of the bank and of the phone, held to what axe knows: wide and narrow, in light and in dark. */

import {
  CONTINUE,
  HANDHELD,
  VIEWPORTS,
  accept,
  account,
  ask,
  choices,
  code,
  deviceOf,
  greeting,
  heading,
  join,
  numberField,
  openPhone,
  pair,
  phoneBeside,
  send,
  signInByCode,
  signInByName,
  somebody,
  touch,
} from './support/acme.js';
import { authenticator, named } from './support/authenticator.js';
import { expectAccessible } from './support/axe.js';
import { expect, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */

test.use({ bypassCSP: true, contextOptions: { reducedMotion: 'reduce' } });

const CHOOSE = ['--number-match', 'choose'];

/** @type {[how: string, options: string[], answer: (page: Page, number: string) => Promise<void>][]} */
const OUTCOMES = [
  [
    'accepted',
    CHOOSE,
    (page, number) =>
      choices(page)
        .filter({ hasText: number })
        .click()
        .then(() => touch(page)),
  ],
  [
    'another number',
    CHOOSE,
    (page, number) =>
      choices(page)
        .filter({ hasNotText: number })
        .first()
        .click()
        .then(() => touch(page)),
  ],
  ['rejected', [], (page) => page.getByRole('button', { name: 'Reject' }).click()],
  ['not me', [], (page) => page.getByRole('button', { name: 'I did not start this' }).click()],
  ['less than asked', ['--level', '3', '--show-identity-document', 'false'], accept],
];

for (const viewport of VIEWPORTS) {
  test.describe(`at ${viewport.width} px`, () => {
    test.use({ viewport });

    test('the bank, until somebody is signed in', async ({ page, server }) => {
      const { phone, user } = await open(page, server);
      await expectAccessible(page, 'sign in');
      await signInByName(page, somebody());
      await expect(page.getByRole('alert')).toBeVisible();
      await expectAccessible(page, 'sign in, refused');
      await signInByName(page, user);
      await expect(numberField(phone)).toBeVisible();
      await expectAccessible(page, 'asked by name');
      await phone.getByRole('button', { name: 'I did not start this' }).click();
      await expect(heading(page, 'Rejected: it was not you')).toBeVisible();
      await expectAccessible(page, 'not me');
      await page.getByRole('button', { name: 'Start again' }).click();
      await phone.getByRole('button', { name: 'Reject' }).click();
      await expect(heading(page, 'Rejected on the phone')).toBeVisible();
      await expectAccessible(page, 'rejected');
      await page.getByRole('button', { name: 'Back' }).click();
      await code(page).click();
      await pair(phone);
      await expect(heading(page, 'Confirm on your phone')).toBeVisible();
      await expect(heading(phone, 'sign in')).toBeVisible();
      await expectAccessible(page, 'asked by code');
    });

    test('the bank, once somebody is signed in', async ({ page, server }) => {
      const { phone, user } = await open(page, server);
      await signInByCode(page, phone);
      await expect(greeting(page, user)).toBeVisible();
      await expectAccessible(page, 'account');
      await send(page, ' ', '9999.00');
      await expect(page.getByLabel('To', { exact: true })).toHaveAccessibleDescription(/must be/);
      await expectAccessible(page, 'transfer, refused');
      await send(page, 'Alan Turing', '90.00');
      await expect(heading(phone, 'transfer 90.00 EUR to Alan Turing')).toBeVisible();
      await expectAccessible(page, 'asked for a transfer');
      await accept(phone);
      await expect(page.getByRole('heading', { name: 'The proof is valid' })).toBeVisible();
      await page.getByText('The evidence itself').click();
      await expectAccessible(page, 'receipt');
      await page.getByRole('button', { name: 'Back to the account' }).click();
      await expect(greeting(page, user)).toBeVisible();
      await expect(page.getByRole('main').getByRole('listitem')).toBeVisible();
      for (const summary of await page.getByRole('region', { name: 'Calls and events' }).locator('summary').all())
        await summary.click();
      await expectAccessible(page, 'account, after a transfer');
      await page.route('**/evidence', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: { ...(await response.json()), response: 'e30.e30.' } });
      });
      await page.getByRole('button', { name: 'See the proof' }).click();
      await expect(page.getByRole('heading', { name: 'The proof is not valid' })).toBeVisible();
      await expectAccessible(page, 'receipt that proves nothing');
      await page.getByRole('button', { name: 'Back to the account' }).click();
      await page.context().clearCookies({ name: 'acme_session' });
      await page.getByRole('button', { name: 'Send money' }).click();
      await expect(page.getByText('You were signed out. Sign in again.')).toBeVisible();
      await expectAccessible(page, 'signed out meanwhile');
    });

    test('the bank, when something is amiss, and its dialogs', async ({ page, server }) => {
      await page.route('**/demo/api/session', (route) => route.abort());
      await page.goto(`${server.url}/demo`);
      await expect(heading(page, 'That did not work')).toBeVisible();
      await expectAccessible(page, 'out of reach');
      await page.unrouteAll();
      await page.route('**/api/v2/trucodes', (route) => route.abort());
      await page.getByRole('button', { name: 'Try again' }).click();
      await expect(heading(page, 'Sign in')).toBeVisible();
      await expectAccessible(page, 'sign in, before there is a code');
      await page.route('**/api/v2/trucodes', (route) =>
        route.fulfill({ status: 403, json: { error: 'ORIGIN_NOT_ALLOWED', message: 'not allowed' } }),
      );
      await expect(page.getByRole('alert')).toBeVisible();
      await expectAccessible(page, 'sign in, without a code');
      await page.getByRole('button', { name: 'Use a real phone' }).click();
      await expectAccessible(page, 'a real phone, out of reach');
      await page.route('**/demo/api/site', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: { ...(await response.json()), gateway: 'https://nodkey.example' } });
      });
      await page.reload();
      await page.getByRole('button', { name: 'Use a real phone' }).click();
      await expectAccessible(page, 'a real phone');
    });

    test('the phone, until it is set up', async ({ page, elsewhere, server }) => {
      const taken = await openPhone(elsewhere, server);
      const url = named(server);
      await authenticator(page);
      await page.goto(`${url}/demo/phone`);
      await expect(page.getByRole('checkbox')).toBeVisible();
      await expectAccessible(page, 'join');
      await page.getByRole('checkbox').uncheck();
      await page.getByLabel('Your name there').fill(taken);
      await page.getByRole('button', { name: 'Join Acme Bank' }).click();
      await expect(page.getByLabel('Your name there')).toHaveAccessibleDescription(/is taken/);
      await expectAccessible(page, 'join, refused');
      await page.goto(`${url}/console/phone`);
      await expect(heading(page, 'No accounts yet')).toBeVisible();
      await expectAccessible(page, 'no accounts');
      await page.goto(`${url}/console/phone#enrol=/demo/api/enrolments/over`);
      await expect(heading(page, 'Not added')).toBeVisible();
      await expectAccessible(page, 'an invitation that is over');
      const user = somebody();
      const made = await page.request.post(`${server.url}/demo/api/enrolments`, { data: { user } });
      await page.goto(`${url}/console/phone#enrol=${(await made.json()).path}`);
      await expect(page.getByRole('checkbox')).toBeVisible();
      await expectAccessible(page, 'an invitation');
      await page.getByRole('button', { name: 'Add this account' }).click();
      await expect(heading(page, 'This phone is set up')).toBeVisible();
      await expectAccessible(page, 'set up');
    });

    test('the phone, where the browser gives it nothing', async ({ page, elsewhere, server }) => {
      await page.addInitScript(() => Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined }));
      await page.goto(`${server.url}/demo/phone`);
      await expect(heading(page, 'This needs https')).toBeVisible();
      await expectAccessible(page, 'no keys');
      await elsewhere.addInitScript(() => {
        IDBFactory.prototype.open = () => {
          throw new DOMException('not here', 'SecurityError');
        };
      });
      await elsewhere.goto(`${server.url}/demo/phone`);
      await expect(heading(elsewhere, 'This browser stores nothing')).toBeVisible();
      await expectAccessible(elsewhere, 'no storage');
    });

    test('the phone and its accounts', async ({ page, elsewhere: bank, server }) => {
      const user = await openPhone(page, server);
      await expectAccessible(page, 'accounts');
      await account(page, user, 'Ready').click();
      await expectAccessible(page, 'an account');
      await page.getByRole('button', { name: 'Rename this phone' }).click();
      await expectAccessible(page, 'renaming');
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'Remove this account' }).click();
      await expectAccessible(page, 'removing');
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'Back' }).click();
      await page.getByRole('button', { name: 'Add an account' }).click();
      await expectAccessible(page, 'one more account');
      await join(page, somebody());

      await page.getByRole('button', { name: 'Scan a code' }).click();
      await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
      await expectAccessible(page, 'scanning without a camera');
      await page.getByLabel('Or paste its text').fill('made up');
      await page.getByRole('button', { name: 'Use' }).click();
      await expect(heading(page, 'This code cannot be used')).toBeVisible();
      await expectAccessible(page, 'a code that is none');
      const [made] = await Promise.all([bank.waitForResponse(/\/trucodes$/), bank.goto(`${server.url}/demo`)]);
      const { payload } = await made.json();
      await page.goto(`${server.url}/demo/phone#scan=${payload}`);
      await expect(heading(page, CONTINUE)).toBeVisible();
      await expectAccessible(page, 'pairing, of two accounts');
      // The bank stays silent, so that there is time to look.
      await bank.close();
      await pair(page);
      await expect(heading(page, /^Waiting for ?Acme Bank$/)).toBeVisible();
      await expectAccessible(page, 'waiting for the question');
      await page.getByRole('button', { name: 'Close' }).click();

      const device = await deviceOf(server, user);
      await server.admin('devices', 'retire', '--yes', '--', device);
      await page.reload();
      await expect(account(page, user, 'Removed')).toBeVisible();
      await expectAccessible(page, 'accounts, one of them removed');
      await account(page, user, 'Removed').click();
      await expectAccessible(page, 'an account that was removed');
    });

    test('the phone, asking', async ({ page, server }) => {
      const user = await openPhone(page, server);
      const fields = Object.fromEntries(
        Array.from({ length: 14 }, (_, i) => [`field ${i}`, 'lorem ipsum '.repeat(60)]),
      );
      const { id: long } = await ask(server, user, 'approve', '--fields', JSON.stringify(fields));
      await expect(heading(page, 'approve')).toBeVisible();
      await expectAccessible(page, 'a long question');
      await page
        .getByRole('button', { name: /^Show all/ })
        .first()
        .click();
      await page.getByRole('button', { name: 'Show 2 more' }).click();
      await expectAccessible(page, 'a long question, shown whole');
      await page.getByRole('button', { name: 'Accept' }).click();
      await expect(heading(page, 'Confirm that it is you')).toBeVisible();
      await expectAccessible(page, 'touch');
      await page.route('**/trusonafication_responses', (route) =>
        route.fulfill({ status: 500, json: { error: 'INTERNAL', message: 'it broke' } }),
      );
      await touch(page);
      await expect(heading(page, 'Not answered')).toBeVisible();
      await expectAccessible(page, 'not answered');
      await page.unrouteAll();
      await server.admin('trusonafications', 'cancel', long);
      await page.getByRole('button', { name: 'Close' }).click();

      const { id } = await ask(server, user, 'log in', ...CHOOSE);
      await expect(choices(page)).toHaveCount(3);
      await expectAccessible(page, 'a choice of numbers');
      await server.admin('trusonafications', 'cancel', id);
      await expect(heading(page, 'No longer pending')).toBeVisible();
      await expectAccessible(page, 'not asked any more');
      await page.getByRole('button', { name: 'OK' }).click();
      await ask(server, user, 'log in', '--number-match', 'enter');
      await expect(numberField(page)).toBeVisible();
      await expectAccessible(page, 'digits to be entered');
      await page.getByRole('button', { name: 'Reject' }).click();
      await page.getByRole('button', { name: 'Done' }).click();
      await ask(server, user, 'be quick', '--expires-in', '6');
      await expect(heading(page, 'Time ran out')).toBeVisible();
      await expectAccessible(page, 'time ran out');
    });

    test('the phone, after the answer', async ({ page, server }) => {
      // What became of an answer is shown for a moment; here, as long as it is looked at.
      await page.route('**/outcome.js', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: (await response.text()).replace(/GLANCE = [\d_]+/, 'GLANCE = 60_000') });
      });
      const user = await openPhone(page, server);
      for (const [how, options, answer] of OUTCOMES) {
        const { match_number: number } = await ask(server, user, 'log in', ...options);
        await answer(page, number);
        await expect(heading(page, /^(Accepted|Rejected)$/)).toBeVisible();
        await expectAccessible(page, how);
        await page.getByRole('button', { name: 'Done' }).click();
      }
      await expect(page.getByRole('listitem')).toHaveCount(OUTCOMES.length);
      await expectAccessible(page, 'accounts, with what was answered');
      await page.getByRole('button', { name: 'History' }).click();
      await expect(page.getByRole('listitem')).toHaveCount(OUTCOMES.length);
      await expectAccessible(page, 'history');
    });
  });
}

test('the phone, where the device checks its user', async ({ page, server }) => {
  await page.setViewportSize(HANDHELD);
  const verify = await authenticator(page);
  await page.goto(`${named(server)}/demo/phone`);
  await expect(page.getByRole('checkbox')).toBeChecked();
  const user = somebody();
  await join(page, user);
  await verify(false);
  await ask(server, user, 'log in');
  await page.getByRole('button', { name: 'Accept' }).click();
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  await expectAccessible(page, 'the device did not confirm');
});

/**
 * Opens the bank with a phone that is set up: beside it where there is room, else in a tab of its own.
 * @param {Page} page
 * @param {import('./support/server.js').Server} server
 */
async function open(page, server) {
  await page.goto(`${server.url}/demo`);
  await expect(code(page)).toBeVisible();
  if (await page.getByRole('button', { name: 'Hide the phone' }).isHidden()) {
    const phone = await page.context().newPage();
    return { phone, user: await openPhone(phone, server) };
  }
  const [phone, user] = [phoneBeside(page), somebody()];
  await join(phone, user);
  return { phone, user };
}
