/** Moving money at Acme Bank: what is seen is what is signed. */

import { accept, expectBalance, heading, openAccount, send, statuses } from './support/acme.js';
import { expect, test } from './support/test.js';

/** The checks of a valid proof. */
const HOLDS = [
  'The bank’s Nodkey signed this request',
  'The answer is signed',
  'The phone’s identifier matches its key',
  'The answer is to exactly this request',
  'The bank’s Nodkey signed a receipt',
  'The receipt is for this answer, this phone and this key',
];

test('the phone shows exactly the payee and the amount; what it accepted is proven check by check, and moves the money', async ({
  page,
  server,
}) => {
  const { phone } = await openAccount(page, server);
  await expectBalance(page, '€2,500.00');
  await send(page, 'Alan Turing', '90,50');
  await expect(heading(phone, 'transfer 90.50 EUR to Alan Turing')).toBeVisible();
  await expect(phone.getByRole('term')).toHaveText(['payee', 'amount', 'currency']);
  await expect(phone.getByRole('definition')).toHaveText(['Alan Turing', '90.50', 'EUR']);
  await accept(phone);
  await expect(heading(page, 'Money sent')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'The proof is valid' })).toBeVisible();
  for (const check of HOLDS) await expect(page.getByRole('main').getByText(check)).toBeVisible();
  await expect(page.getByRole('main').getByText('transfer 90.50 EUR to Alan Turing')).toBeVisible();
  await page.getByRole('button', { name: 'Back to the account' }).click();
  await expectBalance(page, '€2,409.50');
  await expect(page.getByRole('main').getByRole('listitem')).toHaveText(/Alan Turing−€90\.50$/);
});

test('a receipt whose proof was tampered with says which check fails', async ({ page, server }) => {
  const { phone } = await openAccount(page, server);
  await page.route('**/evidence', async (route) => {
    const response = await route.fetch();
    const evidence = await response.json();
    const [header, payload, signature] = evidence.challenge.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const other = Buffer.from(JSON.stringify({ ...claims, act: 'transfer 1.00 EUR to nobody' })).toString('base64url');
    await route.fulfill({ response, json: { ...evidence, challenge: `${header}.${other}.${signature}` } });
  });
  await send(page, 'Alan Turing', '90.00');
  await accept(phone);
  await expect(page.getByRole('heading', { name: 'The proof is not valid' })).toBeVisible();
  await expect(page.getByRole('main').getByRole('listitem')).toContainText([
    'The request is not signed by the bank’s Nodkey',
  ]);
  await expect(page.getByText('transfer 1.00 EUR to nobody')).toHaveCount(0);
});

test('a transfer that is rejected moves nothing', async ({ page, server }) => {
  const { phone } = await openAccount(page, server);
  await send(page, 'Alan Turing', '90.00');
  await phone.getByRole('button', { name: 'Reject' }).click();
  await expect(heading(page, 'Rejected on the phone')).toBeVisible();
  await page.getByRole('button', { name: 'Back to the account' }).click();
  await expectBalance(page, '€2,500.00');
  await expect(page.getByText('What you send appears here.')).toBeVisible();
});

test('a transfer that is sent again is asked once and moves the money once', async ({ page, server }) => {
  const { user, phone } = await openAccount(page, server);
  await send(page, 'Alan Turing', '90.00');
  await expect(heading(phone, 'transfer 90.00 EUR to Alan Turing')).toBeVisible();
  await Promise.all([page.waitForResponse(/\/transfers$/), page.getByRole('button', { name: 'Send again' }).click()]);
  await expect.poll(() => statuses(server, user)).toEqual(['IN_PROGRESS', 'CANCELED', 'ACCEPTED']);
  await accept(phone);
  await expect(heading(page, 'Money sent')).toBeVisible();
  await page.getByRole('button', { name: 'Back to the account' }).click();
  await expectBalance(page, '€2,410.00');
});

test('more than there is cannot be sent, nor what is no amount, nor to nobody; no phone is asked', async ({
  page,
  server,
}) => {
  const { user } = await openAccount(page, server);
  const amount = page.getByLabel('Amount in euros');
  await send(page, 'Alan Turing', '2500.01');
  await expect(amount).toHaveAccessibleDescription('is more than you have');
  await expect(amount).toBeFocused();
  await send(page, 'Alan Turing', 'all');
  await expect(amount).toHaveAccessibleDescription('must be an amount such as 90.00');
  await send(page, ' ', '90.00');
  await expect(page.getByLabel('To', { exact: true })).toHaveAccessibleDescription('must be 1 to 70 characters');
  await expect(amount).toHaveAccessibleDescription('');
  expect(await statuses(server, user)).toEqual(['ACCEPTED']);
});

test('who was signed out meanwhile is told so, and nothing is moved', async ({ page, server }) => {
  const { user } = await openAccount(page, server);
  await page.context().clearCookies({ name: 'acme_session' });
  await send(page, 'Alan Turing', '90.00');
  await expect(heading(page, 'Sign in')).toBeVisible();
  await expect(page.getByText('You were signed out. Sign in again.')).toBeVisible();
  expect(await statuses(server, user)).toEqual(['ACCEPTED']);
});
