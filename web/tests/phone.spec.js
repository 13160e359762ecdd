/** The browser phone by itself, on a small screen: setting it up, scanning, answering, and its end. */

import {
  HANDHELD,
  accept,
  account,
  another,
  ask,
  code,
  deviceOf,
  greeting,
  heading,
  join,
  numberField,
  openPhone,
  pair,
  somebody,
  statuses,
  touch,
} from './support/acme.js';
import { film, filming } from './support/camera.js';
import { expect, listen, test } from './support/test.js';

/** @typedef {import('@playwright/test').Page} Page */

test.use({ viewport: HANDHELD });

test.describe('setting up', () => {
  test('a phone that joined is ready, and still is after a reload', async ({ page, server }) => {
    const user = await openPhone(page, server);
    await page.reload();
    await expect(account(page, user, 'Ready')).toBeVisible();
    await ask(server, user, 'open the door');
    await accept(page);
    await expect(page.getByRole('listitem')).toContainText(['Accepted, Acme Bank']);
  });

  test('who picks a name that is taken is offered another one', async ({ page, elsewhere, server }) => {
    const user = await openPhone(elsewhere, server);
    await page.goto(`${server.url}/demo/phone`);
    const name = page.getByLabel('Your name there');
    await name.fill(user);
    await page.getByRole('button', { name: 'Join Acme Bank' }).click();
    await expect(name).toHaveAccessibleDescription(/^The name grace\d+ is taken/);
    await expect(name).toHaveValue(/^grace\d\d$/);
    await expect(name).not.toHaveValue(user);
    await expect(name).toBeFocused();
    await join(page, somebody());
  });

  test('an invitation adds the account it is for, and leaves no trace in the address', async ({ page, server }) => {
    const user = somebody();
    const made = await page.request.post(`${server.url}/demo/api/enrolments`, { data: { user } });
    const { path } = await made.json();
    await page.goto(`${server.url}/console/phone#enrol=${path}`);
    await expect(
      heading(page, new RegExp(`^Use this browser as ?${user} ?’s phone for ?Acme Bank ?\\?$`)),
    ).toBeVisible();
    expect(page.url()).toBe(`${server.url}/console/phone`);
    await page.getByRole('button', { name: 'Add this account' }).click();
    await page.getByRole('button', { name: 'OK' }).click();
    await expect(account(page, user, 'Ready')).toBeVisible();
  });

  test('a phone that is closed before the bank knew of it finishes when it is opened again', async ({
    page,
    server,
  }) => {
    const user = somebody();
    await page.route('**/demo/api/enrolments/*', (route) =>
      route.request().method() === 'POST' ? route.abort() : route.continue(),
    );
    await page.goto(`${server.url}/demo/phone`);
    await page.getByLabel('Your name there').fill(user);
    await page.getByRole('button', { name: 'Join Acme Bank' }).click();
    await expect(page.getByRole('alert')).toContainText('The server cannot be reached.');
    await page.unrouteAll();
    await page.reload();
    await expect(account(page, user, 'Ready')).toBeVisible();
  });

  test('where the browser has no keys to give, the phone says what is needed', async ({ page, server }) => {
    await page.addInitScript(() => Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined }));
    await page.goto(`${server.url}/demo/phone`);
    await expect(heading(page, 'This needs https')).toBeVisible();
    await expect(page.getByText('make dev ARGS="--tls')).toBeVisible();
  });
});

test('who has lost another phone freezes the account, and this phone is free again once the site released it', async ({
  page,
  server,
}) => {
  const user = await openPhone(page, server);
  await ask(server, user, 'open the door');
  await page.getByRole('button', { name: 'Reject' }).waitFor();
  await server.admin('users', 'freeze', '--yes', user);
  await expect(heading(page, 'No longer pending')).toBeVisible();
  await page.getByRole('button', { name: 'OK' }).click();
  await expect(account(page, user, 'Frozen')).toBeVisible();
  await server.admin('users', 'release', user);
  await expect(account(page, user, 'Ready')).toBeVisible({ timeout: 30_000 });
  await account(page, user, 'Ready').click();
  await page.getByRole('button', { name: 'I lost another phone' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('this one included');
  await dialog.getByRole('button', { name: 'Freeze' }).click();
  await expect(page.getByText('This account receives no requests')).toBeVisible();
  expect(await server.admin('users', 'show', user)).toMatchObject({ frozen: true, frozen_by: 'device' });
  await expect(ask(server, user, 'open the door')).rejects.toThrow('USER_FROZEN');
});

test.describe('scanning', () => {
  test('a code that is pasted, or a link with it, is gone on with', async ({ page, elsewhere: bank, server }) => {
    const user = await openPhone(page, server);
    const [made] = await Promise.all([bank.waitForResponse(/\/trucodes$/), bank.goto(`${server.url}/demo`)]);
    const { payload } = await made.json();
    await page.getByRole('button', { name: 'Scan a code' }).click();
    await page.getByLabel('Or paste its text').fill(`https://acme.example/trucode?payload=${payload}`);
    await page.getByRole('button', { name: 'Use' }).click();
    await pair(page);
    await accept(page);
    await expect(greeting(bank, user)).toBeVisible();
  });

  test('a code before the camera is gone on with', async ({ playwright, launchOptions, server }, info) => {
    const video = info.outputPath('code.y4m');
    const args = [...(launchOptions.args ?? []), ...filming(video)];
    const browser = await playwright.chromium.launch({ ...launchOptions, args });
    try {
      const context = await browser.newContext();
      const assertCalm = listen(context);
      const [bank, phone] = [await context.newPage(), await context.newPage()];
      const user = await openPhone(phone, server);
      await bank.goto(`${server.url}/demo`);
      await film(code(bank).getByRole('img'), video);
      await phone.getByRole('button', { name: 'Scan a code' }).click();
      await pair(phone);
      await accept(phone);
      await expect(greeting(bank, user)).toBeVisible();
      assertCalm();
    } finally {
      await browser.close();
    }
  });

  test('where there is no camera, the phone says so and takes the text', async ({ page, server }) => {
    await openPhone(page, server);
    await page.getByRole('button', { name: 'Scan a code' }).click();
    await expect(page.getByRole('status').filter({ hasText: 'aste the code below.' })).toBeVisible();
    await page.getByLabel('Or paste its text').fill('https://elsewhere.example/?payload=made.up.code');
    await page.getByRole('button', { name: 'Use' }).click();
    await expect(heading(page, 'This code cannot be used')).toBeVisible();
  });

  test('of two accounts at a bank, the person says which one goes on', async ({ page, elsewhere: bank, server }) => {
    await openPhone(page, server);
    const second = somebody();
    await page.getByRole('button', { name: 'Add an account' }).click();
    await join(page, second);
    const [made] = await Promise.all([bank.waitForResponse(/\/trucodes$/), bank.goto(`${server.url}/demo`)]);
    await page.goto(`${server.url}/demo/phone#scan=${(await made.json()).payload}`);
    await page.getByRole('group', { name: 'Which account?' }).getByLabel(second).check();
    await pair(page);
    await accept(page);
    await expect(greeting(bank, second)).toBeVisible();
  });
});

test.describe('answering', () => {
  test('a question is shown to the letter, and what hides in it is made visible', async ({ page, server }) => {
    const user = await openPhone(page, server);
    const fields = '{"note":"<b>one</b>\\ntwo","10": 89370400440532013000,"\\u202Eeman":{"deep": [1.0, "ü"]}}';
    await ask(server, user, '<img src=x> pay', '--fields', fields);
    await expect(heading(page, '<img src=x> pay')).toBeVisible();
    await expect(page.getByRole('term')).toHaveText(['note', '10', '[U+202E]eman']);
    const values = ['<b>one</b>↵two', '89370400440532013000', '{"deep":[1.0,"ü"]}'];
    await expect(page.getByRole('definition')).toHaveText(values);
  });

  test('a text that is too long for the screen is cut, and shown whole when wanted', async ({ page, server }) => {
    const user = await openPhone(page, server);
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`field ${i}`, `value ${i}`]));
    const fields = { text: 'lorem ipsum '.repeat(400).trim(), ...many };
    await ask(server, user, 'approve', '--fields', JSON.stringify(fields));
    await page.getByRole('button', { name: 'Show all 4,799 characters' }).click();
    await expect(page.getByRole('definition').first()).toHaveText(fields.text);
    await page.getByRole('button', { name: 'Show 9 more' }).click();
    await expect(page.getByRole('definition')).toHaveCount(21);
    const isWide = await page.getByRole('main').evaluate((main) => main.scrollWidth > main.clientWidth);
    expect(isWide).toBe(false);
  });

  test('a question that wants no presence is accepted by one press', async ({ page, server }) => {
    const user = await openPhone(page, server);
    await ask(server, user, 'see the news', '--level', '1', '--user-presence', 'false');
    await page.getByRole('button', { name: 'Accept' }).click();
    await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
  });

  test('who does not prove their presence has not answered', async ({ page, server }) => {
    const user = await openPhone(page, server);
    await ask(server, user, 'open the door');
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await expect(heading(page, 'open the door')).toBeVisible();
    expect(await statuses(server, user)).toEqual(['IN_PROGRESS']);
  });

  test('digits that are entered are those of the page, or the answer is no', async ({ page, server }) => {
    const user = await openPhone(page, server);
    const label = 'To accept, enter the 6 digits that the page shows';
    const { match_number: number } = await ask(server, user, 'log in', '--number-match', 'enter');
    await enterDigits(page, label, number, 'Accept');
    await touch(page);
    await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
    const { match_number: other } = await ask(server, user, 'log in', '--number-match', 'enter');
    await enterDigits(page, label, another(other), 'Accept');
    await touch(page);
    await expect.poll(() => statuses(server, user)).toEqual(['REJECTED', 'ACCEPTED']);
  });

  test('the number can be typed at once, and what fits is as long as the number', async ({ page, server }) => {
    const user = await openPhone(page, server);
    const { match_number: number } = await ask(server, user, 'log in', '--number-match', 'enter');
    expect(number).toMatch(/^\d{6}$/);
    await expect(numberField(page)).toBeFocused();
    await page.keyboard.type(`${number}9`);
    await expect(numberField(page)).toHaveValue(number);
    await page.keyboard.press('Enter');
    await touch(page);
    await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
  });

  test('it is said from where the request comes, as the backend says it and nothing hidden', async ({
    page,
    server,
  }) => {
    const user = await openPhone(page, server);
    const from = ['--from-address', '203.0.113.7', '--from-browser', 'Firefox on Linux', '--from-place', 'Berlin'];
    await ask(server, user, 'log in', ...from, '--fields', JSON.stringify({ memo: 'for\u202eyou' }));
    await expect(page.getByText('From Firefox on Linux, Berlin, 203.0.113.7')).toBeVisible();
    await expect(page.getByRole('definition')).toHaveText(['for[U+202E]you']);
    await page.getByRole('button', { name: 'Reject' }).click();
    await ask(server, user, 'log out');
    await expect(heading(page, 'log out')).toBeVisible();
    await expect(page.getByText(/^From /)).toHaveCount(0);
  });

  test('a phone that registered before it could says what it can do once it is opened', async ({ page, server }) => {
    // As a gateway of before answers, which does not know.
    await page.route(/\/api\/v2\/devices$/, async (route) => {
      const response = await route.fetch();
      const { capabilities, ...device } = await response.json();
      expect(capabilities).toEqual(['match6']);
      await route.fulfill({ response, json: device });
    });
    const declared = page.waitForResponse((response) => response.request().method() === 'PATCH');
    await openPhone(page, server);
    const response = await declared;
    expect(response.request().postDataJSON()).toEqual({ capabilities: ['match6'] });
    expect((await response.json()).capabilities).toEqual(['match6']);
  });

  test('a question that ran out says so, too, when the gateway notices before the phone does', async ({
    page,
    server,
  }) => {
    await page.clock.install();
    const user = await openPhone(page, server);
    const { expires_at: end } = await ask(server, user, 'open the door', '--expires-in', '6');
    await expect(heading(page, 'open the door')).toBeVisible();
    await page.clock.pauseAt(await page.evaluate(() => Date.now() + 1_000));
    await page.clock.setSystemTime(end);
    await expect(heading(page, 'Time ran out')).toBeVisible();
  });

  test('questions are asked one after the other, the oldest first', async ({ page, server }) => {
    const user = await openPhone(page, server);
    await ask(server, user, 'first');
    await expect(heading(page, 'first')).toBeVisible();
    await ask(server, user, 'second');
    await accept(page);
    await expect(heading(page, 'second')).toBeVisible();
    await page.getByRole('button', { name: 'Reject' }).click();
    await expect.poll(() => statuses(server, user)).toEqual(['REJECTED', 'ACCEPTED']);
  });

  test('what is answered in one page of the phone is not asked in the other', async ({ page, server }) => {
    const user = await openPhone(page, server);
    const other = await page.context().newPage();
    await other.goto(`${server.url}/demo/phone`);
    await expect(account(other, user, 'Ready')).toBeVisible();
    await ask(server, user, 'open the door');
    await expect(heading(other, 'open the door')).toBeVisible();
    await accept(page);
    await expect(heading(other, 'No longer pending')).toBeVisible();
  });

  test('an answer that does not arrive can be given again', async ({ page, server }) => {
    const user = await openPhone(page, server);
    await ask(server, user, 'open the door');
    await page.route('**/trusonafication_responses', (route) => route.abort());
    await accept(page);
    await expect(heading(page, 'Not answered')).toBeVisible();
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Try again' }).click();
    await accept(page);
    await expect.poll(() => statuses(server, user)).toEqual(['ACCEPTED']);
  });
});

test.describe('an account', () => {
  test('is called by the site what its owner calls it', async ({ page, server }) => {
    const user = await openPhone(page, server);
    await account(page, user, 'Ready').click();
    await page.getByRole('button', { name: 'Rename this phone' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('Grace’s phone');
    await page.getByRole('button', { name: 'Rename', exact: true }).click();
    await expect(page.getByRole('definition').filter({ hasText: 'Grace’s phone' })).toBeVisible();
    const device = await deviceOf(server, user);
    const { items } = await server.admin('devices', 'list', '--all');
    expect(items).toContainEqual(expect.objectContaining({ id: device, name: 'Grace’s phone' }));
  });

  test('whose screen could not be fetched says so, and is there once the page is loaded again', async ({
    page,
    server,
  }) => {
    await page.route('**/phone/views/later.js', (route) => route.abort());
    const user = await openPhone(page, server);
    await account(page, user, 'Ready').click();
    await expect(heading(page, 'The page did not load completely')).toBeVisible();
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Reload' }).click();
    await account(page, user, 'Ready').click();
    await expect(page.getByRole('button', { name: 'Back' })).toBeVisible();
  });

  test('that is removed takes its keys with it and retires the device', async ({ page, server }) => {
    const user = await openPhone(page, server);
    const id = await deviceOf(server, user);
    await account(page, user, 'Ready').click();
    await page.getByRole('button', { name: 'Remove this account' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Remove this account' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await expect(heading(page, 'Set up this phone')).toBeVisible();
    const { items } = await server.admin('devices', 'list', '--all');
    expect(items).toContainEqual(expect.objectContaining({ id, retired: true }));
    await page.reload();
    await expect(heading(page, 'Set up this phone')).toBeVisible();
  });

  test('whose device was retired elsewhere says so, and can be removed', async ({ page, server }) => {
    const user = await openPhone(page, server);
    await ask(server, user, 'open the door');
    await expect(heading(page, 'open the door')).toBeVisible();
    await server.admin('devices', 'retire', '--yes', '--', await deviceOf(server, user));
    await putAwayAndBack(page);
    await expect(heading(page, 'No longer pending')).toBeVisible();
    await page.getByRole('button', { name: 'OK' }).click();
    await account(page, user, 'Removed').click();
    await expect(page.getByText('No longer registered')).toBeVisible();
    await page.getByRole('button', { name: 'Remove this account' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await expect(heading(page, 'Set up this phone')).toBeVisible();
  });
});

/**
 * @param {Page} page
 * @param {string} label
 * @param {string} digits
 * @param {string} button
 */
async function enterDigits(page, label, digits, button) {
  await page.getByLabel(label).fill(digits);
  await page.getByRole('button', { name: button }).click();
}

/**
 * Puts the phone away and takes it out again, which connects it anew.
 * @param {Page} page
 */
async function putAwayAndBack(page) {
  for (const isHidden of [true, false]) {
    await page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { value, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, isHidden);
  }
}
