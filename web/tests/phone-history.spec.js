/** What a phone keeps of its answers. */

import { HANDHELD, accept, account, ask, heading, join, openPhone, somebody, statuses } from './support/acme.js';
import { expect, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */

test.use({ viewport: HANDHELD });

/** @param {Page} page */
const answers = (page) => page.getByRole('list', { name: 'Answers' }).getByRole('listitem');

/** @param {Page} page */
async function openHistory(page) {
  await page.getByRole('button', { name: 'History' }).click();
  await expect(heading(page, 'History')).toBeVisible();
}

/**
 * Rejects what is asked, for a reason.
 * @param {Page} page
 * @param {string} action
 */
async function reportNotMe(page, action) {
  await expect(heading(page, action)).toBeVisible();
  await page.getByRole('button', { name: 'I did not start this' }).click();
  await page.getByRole('button', { name: 'Done' }).click();
}

test('what was answered survives a reload, the newest first, and hidden characters in it are visible', async ({
  page,
  server,
}) => {
  const user = await openPhone(page, server);
  await ask(server, user, '<img src=x> open');
  await accept(page);
  await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
  await ask(server, user, 'open the window');
  await reportNotMe(page, 'open the window');
  await page.reload();
  await openHistory(page);
  await expect(answers(page)).toHaveText([
    new RegExp(`^open the windowAcme BankRejected, not started by you, Acme BankAs ${user}, `),
    new RegExp(`^<img src=x> openAcme BankAccepted, Acme BankAs ${user}, `),
  ]);
  // What the relying party cannot send, a gateway could.
  await page.evaluate(async () => {
    const { addAnswer, listAnswers } = await import(/** @type {any} */ ('/assets/phone/history.js'));
    const [latest] = await listAnswers();
    await addAnswer({ ...latest, at: latest.at + 1, action: 'pay \u202e001' });
  });
  await page.reload();
  await openHistory(page);
  await expect(answers(page).first()).toContainText('pay [U+202E]001');
});

test('the answers of one account can be listed alone, and are removed with it', async ({ page, server }) => {
  const [first, second] = [await openPhone(page, server), somebody()];
  await page.getByRole('button', { name: 'Add an account' }).click();
  await join(page, second);
  for (const user of [first, second]) {
    await ask(server, user, `open for ${user}`);
    await reportNotMe(page, `open for ${user}`);
  }
  await openHistory(page);
  await expect(answers(page)).toHaveCount(2);
  await page.getByLabel('Account').selectOption({ label: `${first}, Acme Bank` });
  await expect(answers(page)).toHaveText([new RegExp(`^open for ${first}`)]);
  await page.getByRole('button', { name: 'Back' }).click();
  await account(page, first, 'Ready').click();
  await page.getByRole('button', { name: 'Remove this account' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(heading(page, 'Your accounts')).toBeVisible();
  await page.reload();
  await openHistory(page);
  await expect(answers(page)).toHaveText([new RegExp(`^open for ${second}`)]);
});

test('of more than 500 answers of an account the oldest are dropped', async ({ page, server }) => {
  await openPhone(page, server);
  const kept = await page.evaluate(async () => {
    const { MAX_ANSWERS, addAnswer, listAnswers } = await import(/** @type {any} */ ('/assets/phone/history.js'));
    const { listAccounts } = await import(/** @type {any} */ ('/assets/phone/store.js'));
    const [{ id, user }] = await listAccounts();
    const answered = { relyingParty: 'Acme Bank', user, resource: '', decision: 'accept', status: 'ACCEPTED' };
    await addAnswer({ ...answered, account: 'another', at: 0, action: 'of another' });
    for (let at = 1; at <= MAX_ANSWERS + 2; at += 1)
      await addAnswer({ ...answered, account: id, at, action: `no. ${at}` });
    return (await listAnswers()).map((/** @type {{action: string}} */ { action }) => action);
  });
  expect(kept).toHaveLength(501);
  expect([kept[0], kept.at(-2), kept.at(-1)]).toEqual(['no. 502', 'no. 3', 'of another']);
  await page.reload();
  await openHistory(page);
  await expect(answers(page)).toHaveCount(50);
  await page.getByRole('button', { name: 'Show 50 more' }).click();
  await expect(answers(page)).toHaveCount(100);
});
