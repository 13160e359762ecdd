/** Acme Bank with a phone beside it: signing in, and what becomes of it when it goes otherwise. */

import {
  CONTINUE,
  HANDHELD,
  accept,
  account,
  another,
  code,
  enterNumber,
  greeting,
  heading,
  join,
  numberField,
  numberShown,
  openAccount,
  openBank,
  openPhone,
  pair,
  phoneBeside,
  signInByCode,
  signInByName,
  somebody,
  statuses,
  tabTo,
  touch,
} from './support/acme.js';
import { readCode, registeredPhone } from './support/nodkey_code.js';
import { start } from './support/server.js';
import { expect, test } from './support/test.js';

test.describe('by code', () => {
  test('a newcomer sets up the phone and is signed in by one click on the code, without typing or reading anything', async ({
    page,
  }) => {
    const server = await start();
    try {
      await page.goto(`${server.url}/demo`);
      const phone = phoneBeside(page);
      await phone.getByRole('button', { name: 'Join Acme Bank' }).click();
      await phone.getByRole('button', { name: 'OK' }).click();
      await signInByCode(page, phone);
      await expect(greeting(page, 'ada')).toBeVisible();
    } finally {
      await server.stop();
    }
  });

  test('the phone says whose page it is before it goes on', async ({ page, server }) => {
    const { user, phone } = await openBank(page, server);
    await code(page).click();
    await expect(heading(phone, CONTINUE)).toBeVisible();
    await expect(phone.getByRole('definition').first()).toHaveText(server.url);
    await expect(phone.getByRole('definition').last()).toHaveText(user);
    await phone.getByRole('button', { name: 'Cancel' }).click();
    await expect(account(phone, user, 'Ready')).toBeVisible();
    expect(await statuses(server, user)).toEqual([]);
  });

  test('a phone that is opened by the code sets itself up first, then goes on with it', async ({ page, server }) => {
    await page.setViewportSize(HANDHELD);
    await page.goto(`${server.url}/demo`);
    const [phone] = await Promise.all([page.context().waitForEvent('page'), code(page).click()]);
    const user = somebody();
    await phone.getByLabel('Your name there').fill(user);
    await phone.getByRole('button', { name: 'Join Acme Bank' }).click();
    await phone.getByRole('button', { name: 'OK' }).click();
    await pair(phone);
    await accept(phone);
    await expect(greeting(page, user)).toBeVisible();
  });

  test('the next code is there before the last is over, and who has just scanned that one gets in', async ({
    page,
    elsewhere: phone,
    server,
  }) => {
    const user = await openPhone(phone, server);
    const codes = /\/api\/v2\/trucodes$/;
    await page.setViewportSize(HANDHELD);
    await page.clock.install();
    const [made] = await Promise.all([page.waitForResponse(codes), page.goto(`${server.url}/demo`)]);
    const { payload } = await made.json();
    const image = code(page).getByRole('img').locator('path');
    const first = String(await image.getAttribute('d'));
    // The page alone is ahead of the time, and only until it has asked for the next code: that runs out by the server's clock.
    await page.route(codes, async (route) => {
      await page.clock.setSystemTime(new Date());
      await route.continue();
    });
    await page.clock.fastForward(41_000);
    await expect(image).not.toHaveAttribute('d', first, { timeout: 5_000 });
    await phone.getByRole('button', { name: 'Scan a code' }).click();
    await phone.getByLabel('Or paste its text').fill(payload);
    await phone.getByRole('button', { name: 'Use' }).click();
    await pair(phone);
    await accept(phone);
    await expect(greeting(page, user)).toBeVisible();
  });

  test('where the bank wants the two digits beside the code, others do not do', async ({ page }) => {
    const server = await start();
    try {
      await server.admin('relying-parties', 'update', '--match-number', 'true');
      const { user, phone } = await openBank(page, server);
      const digits = phone.getByLabel('Enter the two digits beside the code');
      await code(page).click();
      const shown = String(await page.getByText(/^Your phone asks for \d\d$/).textContent()).slice(-2);
      await digits.fill(shown === '10' ? '11' : '10');
      await pair(phone);
      await expect(phone.getByText('These are not the two digits on the page.')).toBeVisible();
      await phone.getByRole('button', { name: 'Try again' }).click();
      await digits.fill(shown);
      await pair(phone);
      await accept(phone);
      await expect(greeting(page, user)).toBeVisible();
    } finally {
      await server.stop();
    }
  });

  test('a phone that is not set up is told so, and the next code is there for another', async ({ page, server }) => {
    await page.goto(`${server.url}/demo`);
    const phone = await registeredPhone(server);
    await phone.pair(await phone.scan(await readCode(code(page).getByRole('img'))));
    await expect(page.getByRole('alert')).toContainText('That phone is not set up for Acme Bank.');
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect(code(page)).toBeVisible();
  });

  test('where no code can be made, the page says so and tries again', async ({ page, server }) => {
    await page.route('**/api/v2/trucodes', (route) =>
      route.fulfill({ status: 403, json: { error: 'ORIGIN_NOT_ALLOWED', message: 'not allowed' } }),
    );
    await page.goto(`${server.url}/demo`);
    await expect(page.getByRole('alert')).toContainText('Codes are not allowed at this address.');
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect(code(page)).toBeVisible();
  });
});

test('a code that is clicked before there is a phone leads to its set-up, keeps what was entered, and goes on with the code', async ({
  page,
  server,
}) => {
  const user = somebody();
  await page.goto(`${server.url}/demo`);
  await page.getByLabel('Your name').fill(user);
  const phone = phoneBeside(page);
  await phone.getByLabel('Your name there').fill(user);
  const shown = await code(page).getByRole('img').locator('path').getAttribute('d');
  await code(page).click();
  await expect(phone.getByText('Set up this phone first.')).toBeVisible();
  await expect(phone.getByLabel('Your name there')).toHaveValue(user);
  await expect(page.getByLabel('Your name')).toHaveValue(user);
  expect(await code(page).getByRole('img').locator('path').getAttribute('d')).toBe(shown);
  await phone.getByRole('button', { name: 'Join Acme Bank' }).click();
  await phone.getByRole('button', { name: 'OK' }).click();
  await pair(phone);
  await accept(phone);
  await expect(greeting(page, user)).toBeVisible();
});

test('on a phone’s screen the phone of this browser comes before the code, and goes on with it in one tab', async ({
  page,
  server,
}) => {
  await page.setViewportSize(HANDHELD);
  await page.goto(`${server.url}/demo`);
  const open = page.getByRole('link', { name: 'Open on this phone' });
  await expect(open).toHaveAttribute('href', /#scan=/);
  const [above, below] = [await open.boundingBox(), await code(page).boundingBox()];
  expect(above?.y).toBeLessThan(below?.y ?? 0);
  const [phone] = await Promise.all([page.context().waitForEvent('page'), open.click()]);
  const user = somebody();
  await phone.getByLabel('Your name there').fill(user);
  await open.click();
  await expect(phone.getByLabel('Your name there')).toHaveValue(user);
  expect(page.context().pages()).toHaveLength(2);
  await phone.getByRole('button', { name: 'Join Acme Bank' }).click();
  await phone.getByRole('button', { name: 'OK' }).click();
  await pair(phone);
  await accept(phone);
  await expect(greeting(page, user)).toBeVisible();
});

test.describe('by name', () => {
  test('who is asked by name matches the number', async ({ page, server }) => {
    const { user, phone } = await openBank(page, server);
    await signInByName(page, user);
    await enterNumber(phone, await numberShown(page));
    await touch(phone);
    await expect(greeting(page, user)).toBeVisible();
  });

  test('another number than the one that is shown signs nobody in', async ({ page, server }) => {
    const { user, phone } = await openBank(page, server);
    await signInByName(page, user);
    await enterNumber(phone, another(await numberShown(page)));
    await phone.getByRole('button', { name: 'Press here' }).click();
    await expect(phone.getByText('That was not the number on the page.')).toBeVisible();
    await expect(heading(page, 'Wrong number')).toBeVisible();
    await page.reload();
    await expect(heading(page, 'Sign in')).toBeVisible();
  });

  test('who rejects is not signed in, and can be asked again', async ({ page, server }) => {
    const { user, phone } = await openBank(page, server);
    await signInByName(page, user);
    await phone.getByRole('button', { name: 'Reject' }).click();
    await expect(heading(phone, 'Rejected')).toBeVisible();
    await expect(heading(page, 'Rejected on the phone')).toBeVisible();
    await page.getByRole('button', { name: 'Start again' }).click();
    await enterNumber(phone, await numberShown(page));
    await touch(phone);
    await expect(greeting(page, user)).toBeVisible();
  });

  test('the bank is told when it was not the owner of the phone who started', async ({ page, server }) => {
    const { user, phone } = await openBank(page, server);
    await signInByName(page, user);
    await phone.getByRole('button', { name: 'I did not start this' }).click();
    await expect(phone.getByText('Acme Bank was notified that it was not you who started this.')).toBeVisible();
    await expect(heading(page, 'Rejected: it was not you')).toBeVisible();
    await page.getByRole('button', { name: 'Back' }).click();
    await expect(heading(page, 'Sign in')).toBeVisible();
  });

  test('a question that is sent again takes the place of the one before', async ({ page, server }) => {
    const { user, phone } = await openBank(page, server);
    await signInByName(page, user);
    await expect(numberField(phone)).toBeVisible();
    const [sent] = await Promise.all([
      page.waitForResponse(/\/sign_ins$/),
      page.getByRole('button', { name: 'Send again' }).click(),
    ]);
    const { match_number: number } = await sent.json();
    await expect(page.getByRole('paragraph').filter({ hasText: number })).toBeVisible();
    expect(await statuses(server, user)).toEqual(['IN_PROGRESS', 'CANCELED']);
    // The one before is not asked any more.
    await expect(numberField(phone)).toBeVisible();
    await enterNumber(phone, number);
    await touch(phone);
    await expect(greeting(page, user)).toBeVisible();
  });

  test('what is taken back is not asked any more', async ({ page, server }) => {
    const { user, phone } = await openBank(page, server);
    await signInByName(page, user);
    await expect(numberField(phone)).toBeVisible();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await expect(heading(page, 'Sign in')).toBeVisible();
    await expect(heading(phone, 'No longer pending')).toBeVisible();
    expect(await statuses(server, user)).toEqual(['CANCELED']);
  });

  test('a question that nobody answers runs out on both sides', async ({ page }) => {
    const server = await start('--lifetime-seconds', '8');
    try {
      const { user, phone } = await openBank(page, server);
      await signInByName(page, user);
      await expect(heading(phone, 'Time ran out')).toBeVisible();
      await expect(heading(page, 'Time ran out')).toBeVisible();
      expect(await statuses(server, user)).toEqual(['EXPIRED']);
    } finally {
      await server.stop();
    }
  });

  test('who has no phone there is told so beside the name', async ({ page, server }) => {
    await page.goto(`${server.url}/demo`);
    await signInByName(page, somebody());
    await expect(page.getByRole('alert')).toContainText('There is no phone for this name');
  });
});

test.describe('by keyboard alone', () => {
  test('a newcomer sets up the phone and is signed in by the code', async ({ page, server }) => {
    const user = somebody();
    await page.goto(`${server.url}/demo`);
    const phone = phoneBeside(page);
    await tabTo(page, phone.getByLabel('Your name there'));
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.type(user);
    await page.keyboard.press('Enter');
    await tabTo(page, phone.getByRole('button', { name: 'OK' }));
    await page.keyboard.press('Enter');
    await tabTo(page, code(page));
    await page.keyboard.press('Enter');
    // The phone has the focus from here on, on what it asks.
    await expect(heading(phone, CONTINUE)).toBeFocused();
    await tabTo(page, phone.getByRole('button', { name: 'Continue' }));
    await page.keyboard.press('Enter');
    await expect(heading(phone, 'sign in')).toBeFocused();
    await tabTo(page, phone.getByRole('button', { name: 'Accept' }));
    await page.keyboard.press('Enter');
    await expect(heading(phone, 'Confirm that it is you')).toBeFocused();
    await tabTo(page, phone.getByRole('button', { name: 'Press here' }));
    await page.keyboard.press('Space');
    await expect(greeting(page, user)).toBeVisible();
    await tabTo(page, page.getByRole('button', { name: 'Sign out' }));
    await page.keyboard.press('Enter');
    await expect(heading(page, 'Sign in')).toBeFocused();
  });

  test('who is asked by name matches the number', async ({ page, server }) => {
    const { user, phone } = await openBank(page, server);
    await tabTo(page, page.getByLabel('Your name'));
    await page.keyboard.type(user);
    await page.keyboard.press('Enter');
    await expect(heading(page, 'Confirm on your phone')).toBeFocused();
    await tabTo(page, numberField(phone));
    await page.keyboard.type(await numberShown(page));
    await page.keyboard.press('Enter');
    await tabTo(page, phone.getByRole('button', { name: 'Press here' }));
    await page.keyboard.press('Enter');
    await expect(greeting(page, user)).toBeVisible();
  });
});

test('who signs in stays so over a reload, and is out after signing out', async ({ page, server }) => {
  const { user } = await openAccount(page, server);
  await page.reload();
  await expect(greeting(page, user)).toBeVisible();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(heading(page, 'Sign in')).toBeVisible();
  await page.reload();
  await expect(heading(page, 'Sign in')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Sign out' })).toHaveCount(0);
});

test('the account tells how its owner signed in, and proves it', async ({ page, server }) => {
  await openAccount(page, server);
  await expect(page.getByText('Phone and presence (level 2)')).toBeVisible();
  await page.getByRole('button', { name: 'See the proof' }).click();
  await expect(page.getByRole('heading', { name: 'The proof is valid' })).toBeVisible();
  await expect(page.getByText('sign in', { exact: true })).toBeVisible();
});

test('a bank that cannot be reached is tried again', async ({ page, server }) => {
  await page.route('**/demo/api/session', (route) => route.abort());
  await page.goto(`${server.url}/demo`);
  await expect(heading(page, 'That did not work')).toBeVisible();
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(heading(page, 'Sign in')).toBeVisible();
});

test('the phone can be put away, and comes back as it was', async ({ page, server }) => {
  const { user, phone } = await openBank(page, server);
  await page.getByRole('button', { name: 'Hide the phone' }).click();
  await expect(page.getByTitle('Your phone')).toBeHidden();
  await page.getByRole('button', { name: 'Show the phone' }).click();
  await expect(account(phone, user, 'Ready')).toBeVisible();
});

test('a real phone is told the address, or what is needed for it to reach the page', async ({ page, server }) => {
  await page.goto(`${server.url}/demo`);
  await page.getByRole('button', { name: 'Use a real phone' }).click();
  const dialog = page.getByRole('dialog', { name: 'Use a real phone' });
  await expect(dialog).toContainText('make dev ARGS="--tls');
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expect(dialog).toBeHidden();
  await page.route('**/demo/api/site', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), gateway: 'https://nodkey.example' } });
  });
  await page.reload();
  await page.getByRole('button', { name: 'Use a real phone' }).click();
  await expect(dialog).toContainText('https://nodkey.example/demo/phone');
  await expect(dialog.getByRole('img', { name: 'Address of the phone’s page' })).toBeVisible();
});

test('two phones of one person are asked both, and the answer of one is enough', async ({
  page,
  elsewhere,
  server,
}) => {
  const { user, phone } = await openAccount(page, server);
  // Who is signed in may add a phone under the same name; the cookie says who that is.
  await elsewhere.context().addCookies(await page.context().cookies());
  await elsewhere.goto(`${server.url}/demo/phone`);
  await join(elsewhere, user);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await signInByName(page, user);
  await expect(numberField(phone)).toBeVisible();
  await enterNumber(elsewhere, await numberShown(page));
  await touch(elsewhere);
  await expect(greeting(page, user)).toBeVisible();
  await expect(heading(phone, 'No longer pending')).toBeVisible();
});

/**
 * The attempts of the simulated stranger.
 * @param {import('@playwright/test').Page} page
 */
function attempts(page) {
  return page.getByRole('main').getByRole('listitem');
}

test.describe('when somebody else tries', () => {
  test('the phone says from where, others have to pause, and the owner signs in by a code meanwhile', async ({
    page,
  }) => {
    const server = await start();
    try {
      await server.admin('relying-parties', 'update', '--tolerant-prompts', 'false');
      const { user, phone } = await openBank(page, server);
      await page.getByLabel('Your name').fill(user);
      await page.getByRole('button', { name: 'Simulate someone else signing in as you' }).click();
      await expect(phone.getByText('From Chrome on Windows, Far away, 198.51.100.66')).toBeVisible();
      await expect(attempts(page)).toHaveCount(3);
      await expect(page.getByText(/^They may try again in \d+ seconds\.$/)).toBeVisible();
      await phone.getByRole('button', { name: 'I did not start this' }).click();
      await expect(phone.getByText('Acme Bank was notified that it was not you who started this.')).toBeVisible();
      await expect(phone.getByText(/^Until .+, further attempts do not reach your phone\.$/)).toBeVisible();
      await expect(page.getByText('You reported that it was not you.')).toBeVisible();
      for (let left = 2; left > 0; left -= 1) {
        await phone.getByRole('button', { name: 'Done' }).click();
        await phone.getByRole('button', { name: 'I did not start this' }).click();
        await expect(phone.getByText('Acme Bank was notified')).toBeVisible();
      }
      await phone.getByRole('button', { name: 'Done' }).click();
      await page.getByRole('button', { name: 'Sign in with a code instead' }).click();
      await signInByCode(page, phone);
      await expect(greeting(page, user)).toBeVisible();
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByLabel('Your name').fill(user);
      await page.getByRole('button', { name: 'Simulate someone else signing in as you' }).click();
      await expect(page.getByText('requests by name no longer reach your phone')).toBeVisible();
    } finally {
      await server.stop();
    }
  });

  test('where nothing stops them, the page says how to change that', async ({ page }) => {
    const server = await start();
    try {
      const { user } = await openBank(page, server);
      await page.getByLabel('Your name').fill(user);
      await page.getByRole('button', { name: 'Simulate someone else signing in as you' }).click();
      await expect(page.getByText('nodkey admin relying-parties update --tolerant-prompts false')).toBeVisible();
      await expect(attempts(page)).toHaveCount(5);
    } finally {
      await server.stop();
    }
  });
});
