/** Signing in to the console: who gets in, who does not, and what they are told. */

import { heading, openPhone } from './support/acme.js';
import { code, enrol, enter, go, invite, open, row, scan, signIn } from './support/console.js';
import { scanAndAccept, enrol as enrolSoftly } from './support/soft_phone.js';
import { start } from './support/server.js';
import { expect, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */

/** @param {Page} page */
async function expectSignedOut(page) {
  await expect(heading(page, 'Sign in')).toBeVisible();
  await expect(code(page)).toBeVisible();
}

test('the first owner is enrolled by the link that the start prints, and signs in with that phone', async ({
  page,
}) => {
  const server = await start();
  try {
    await enter(page, server, server.invitation);
    await expect(heading(page, 'Overview')).toBeVisible();
    await expect(page.getByRole('button', { name: /, owner$/ })).toBeVisible();
    await page.reload();
    await expect(heading(page, 'Overview')).toBeVisible();
  } finally {
    await server.stop();
  }
});

test('an invitation says whose it is, and sets up one phone and no second', async ({ page, elsewhere, server }) => {
  const { link } = await invite(server, 'Grace Hopper', 'operator');
  await page.goto(link);
  await expect(
    heading(page, /^Use this browser as ?Grace Hopper ?’s phone for the ?Nodkey console ?\?$/),
  ).toBeVisible();
  expect(page.url()).not.toContain('enrol');
  await page.getByRole('button', { name: 'Add this account' }).click();
  await expect(heading(page, 'This phone is set up')).toBeVisible();
  await elsewhere.goto(link);
  await expect(heading(elsewhere, 'Not added')).toBeVisible();
  await expect(elsewhere.getByText('This invitation was used, or has run out.')).toBeVisible();
  await expect(elsewhere.getByRole('button', { name: 'Try again' })).toHaveCount(0);
});

test('the phone says who asks and for what page, before it signs', async ({ page, server }) => {
  const { link } = await invite(server, 'Grace Hopper', 'operator');
  const phone = await enrol(page.context(), link);
  await page.goto(`${server.url}/console`);
  await code(page).click();
  await expect(phone.getByRole('definition')).toHaveText([server.url, 'Grace Hopper']);
  await phone.getByRole('button', { name: 'Continue' }).click();
  await expect(heading(phone, 'sign in')).toBeVisible();
  await expect(phone.getByText(/^Request from ?Nodkey console$/)).toBeVisible();
  await expect(page.getByText('Scanned. Accept on your phone.')).toBeVisible();
});

test('who rejects on the phone stays out, is told so, and can begin again', async ({ page, server }) => {
  const { link } = await invite(server, 'Grace Hopper', 'operator');
  const phone = await enrol(page.context(), link);
  await page.goto(`${server.url}/console`);
  await scan(page, phone);
  await phone.getByRole('button', { name: 'Reject' }).click();
  await expect(heading(phone, 'Rejected')).toBeVisible();
  await expect(page.getByText('Rejected on the phone')).toBeVisible();
  await expect(page.getByText('You are not signed in.')).toBeVisible();
  await page.getByRole('button', { name: 'Show a new code' }).click();
  await signIn(page, phone);
  await expect(heading(page, 'Overview')).toBeVisible();
});

test('a question that comes before the answer to its code is asked all the same', async ({ page, server }) => {
  const { link } = await invite(server, 'Grace Hopper', 'operator');
  const phone = await enrol(page.context(), link);
  // Every question is verified by a signature: once the phone has done that, it has the question.
  await phone.evaluate(() => {
    const verify = crypto.subtle.verify.bind(crypto.subtle);
    crypto.subtle.verify = async (...given) => {
      const holds = await verify(...given);
      document.documentElement.dataset.verified = String(Number(document.documentElement.dataset.verified ?? 0) + 1);
      return holds;
    };
  });
  await page.goto(`${server.url}/console`);
  await phone.route('**/paired_trucodes', async (route) => {
    const before = await phone.evaluate(() => Number(document.documentElement.dataset.verified ?? 0));
    const response = await route.fetch();
    await phone.waitForFunction((count) => Number(document.documentElement.dataset.verified ?? 0) > count, before);
    await route.fulfill({ response });
  });
  await signIn(page, phone);
  await expect(heading(page, 'Overview')).toBeVisible();
});

test('the phone of a bank’s customer opens nothing here', async ({ page, server }) => {
  const phone = await page.context().newPage();
  await openPhone(phone, server);
  await page.goto(`${server.url}/console`);
  await code(page).click();
  await phone.getByRole('button', { name: 'Continue' }).click();
  await expect(heading(phone, 'This code cannot be used')).toBeVisible();
  await expect(phone.getByText('This code is not for that account.')).toBeVisible();
  await page.reload();
  await expectSignedOut(page);
});

test('a phone that does not prove that its owner is there is refused', async ({ page, server }) => {
  const { link } = await invite(server, 'Grace Hopper', 'owner');
  const phone = await enrolSoftly(server.url, link, { presence: false });
  const [begun] = await Promise.all([page.waitForResponse(/\/sign_in$/), page.goto(`${server.url}/console`)]);
  const { payload } = await begun.json();
  await scanAndAccept(phone, payload);
  await expect(page.getByText('This phone does not belong to an operator')).toBeVisible();
  await page.getByRole('button', { name: 'Show a new code' }).click();
  await expectSignedOut(page);
});

test('who signs out is out, and so is whoever had copied the cookie', async ({ page, elsewhere, server }) => {
  await enter(page, server, (await invite(server, 'Grace Hopper', 'operator')).link);
  await go(page, 'Operators');
  await elsewhere.context().addCookies(await page.context().cookies());
  await open(elsewhere, server, 'operators');
  await expect(heading(elsewhere, 'Operators')).toBeVisible();
  await page.getByRole('button', { name: 'Grace Hopper, operator' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expectSignedOut(page);
  await page.goBack();
  await expectSignedOut(page);
  await elsewhere.reload();
  await expectSignedOut(elsewhere);
});

test('a session that is over leads to the sign-in, which says why, and from there back', async ({ page, server }) => {
  const phone = await enter(page, server, (await invite(server, 'Grace Hopper', 'operator')).link);
  // What the page asks by itself must not notice before the person does.
  await page.route('**/console/api/status', () => {});
  await open(page, server, 'audit');
  await expect(row(page, 'CreateOperatorSession').first()).toBeVisible();
  await page.context().clearCookies();
  await page.getByRole('link', { name: 'Operators' }).click();
  await expectSignedOut(page);
  await expect(page.getByText('Your session has ended. Sign in again.')).toBeVisible();
  await signIn(page, phone);
  await expect(heading(page, 'Operators')).toBeVisible();
});

test('a code that nobody scans is replaced before it runs out', async ({ page, server }) => {
  await page.clock.install();
  await page.goto(`${server.url}/console`);
  await expect(code(page)).toBeVisible();
  const [begun] = await Promise.all([page.waitForResponse(/\/sign_in$/), page.clock.fastForward('01:00')]);
  expect(begun.status()).toBe(201);
  await expect(code(page)).toBeVisible();
});

test('who has no invitation is told how to get one', async ({ page, server }) => {
  await page.goto(`${server.url}/console`);
  await page.getByText('No invitation yet?').click();
  await expect(page.getByText('nodkey admin operators invite "Ada" --role owner')).toBeVisible();
});

test('a console that cannot be reached says so, and goes on when it can', async ({ page, server }) => {
  await page.route('**/console/api/sign_in', (route) => route.abort());
  await page.goto(`${server.url}/console`);
  await expect(page.getByText('No code available')).toBeVisible();
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Show a new code' }).click();
  await expectSignedOut(page);
});

test('who comes back after the session is over signs in again, also when the console could not be reached at first', async ({
  page,
  server,
}) => {
  const over = { name: 'nodkey_session', value: '0192d3a0-0000-7000-8000-000000000000.over', url: server.url };
  await page.context().addCookies([over]);
  await page.route('**/console/api/**', (route) => route.abort());
  await page.goto(`${server.url}/console`);
  await expect(page.getByRole('alert')).toContainText('The server cannot be reached');
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Try again' }).click();
  await expectSignedOut(page);
});
