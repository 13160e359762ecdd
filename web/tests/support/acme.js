/** What people do at Acme Bank and on the phone, step by step. */

import { expect } from '@playwright/test';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('./server.js').Server} Server */
/** @typedef {Page | import('@playwright/test').FrameLocator} Phone A page of its own, or the one in the bank's frame. */

/** A phone's screen, where it is a page of its own. */
export const HANDHELD = { width: 360, height: 640 };

/** The screens that views are held to; CI, which has little time, takes the one on which less fits. */
export const VIEWPORTS = process.env.NODKEY_NARROW_ONLY ? [HANDHELD] : [{ width: 1440, height: 900 }, HANDHELD];

/** The phone's heading after a scan; names are set apart there. */
export const CONTINUE = /^Continue at Acme Bank ?\?$/;

let people = 0;

/** A free name. */
export function somebody() {
  people += 1;
  return `grace${people}`;
}

/**
 * The phone in the bank's frame.
 * @param {Page} page
 */
export function phoneBeside(page) {
  return page.getByTitle('Your phone').contentFrame();
}

/**
 * Sets a phone up for a user.
 * @param {Phone} phone
 * @param {string} user
 */
export async function join(phone, user) {
  await phone.getByLabel('Your name there').fill(user);
  await phone.getByRole('button', { name: 'Join Acme Bank' }).click();
  await phone.getByRole('button', { name: 'OK' }).click();
  await expect(account(phone, user, 'Ready')).toBeVisible();
}

/**
 * Opens a phone of its own and sets it up for somebody new.
 * @param {Page} page
 * @param {Server} server
 * @returns {Promise<string>} the user
 */
export async function openPhone(page, server) {
  const user = somebody();
  await page.goto(`${server.url}/demo/phone`);
  await join(page, user);
  return user;
}

/**
 * Opens the bank with a phone beside it that is set up for somebody new.
 * @param {Page} page
 * @param {Server} server
 */
export async function openBank(page, server) {
  const user = somebody();
  await page.goto(`${server.url}/demo`);
  const phone = phoneBeside(page);
  await join(phone, user);
  return { user, phone };
}

/**
 * Opens the bank beside a phone, and signs somebody new in.
 * @param {Page} page
 * @param {Server} server
 */
export async function openAccount(page, server) {
  const { user, phone } = await openBank(page, server);
  await signInByCode(page, phone);
  await expect(greeting(page, user)).toBeVisible();
  return { user, phone };
}

/**
 * An account in the phone's list.
 * @param {Phone} phone
 * @param {string} user
 * @param {string} state
 */
export function account(phone, user, state) {
  return phone.getByRole('button', { name: new RegExp(`Acme Bank ?${user} ?${state}`) });
}

/**
 * The code that signs in, to be clicked.
 * @param {Page} page
 */
export function code(page) {
  return page.getByRole('button', { name: /^Sign-in code/ });
}

/**
 * The heading of a view or a screen.
 * @param {Phone} where
 * @param {string | RegExp} name
 */
export function heading(where, name) {
  return where.getByRole('heading', { level: 1, name, exact: true });
}

/**
 * What the bank says to who is signed in.
 * @param {Page} page
 * @param {string} user
 */
export function greeting(page, user) {
  return page.getByRole('heading', { level: 1, name: new RegExp(`^Good (morning|afternoon|evening), ${user}$`) });
}

/**
 * Goes on with a scanned code.
 * @param {Phone} phone
 */
export async function pair(phone) {
  await expect(heading(phone, CONTINUE)).toBeVisible();
  await phone.getByRole('button', { name: 'Continue' }).click();
}

/**
 * Accepts what the phone asks, and is present.
 * @param {Phone} phone
 */
export async function accept(phone) {
  await phone.getByRole('button', { name: 'Accept' }).click();
  await touch(phone);
}

/**
 * Is present, which makes the answer one.
 * @param {Phone} phone
 */
export async function touch(phone) {
  await phone.getByRole('button', { name: 'Press here' }).click();
}

/**
 * Signs in by clicking the code.
 * @param {Page} page
 * @param {Phone} phone
 */
export async function signInByCode(page, phone) {
  await code(page).click();
  await pair(phone);
  await accept(phone);
}

/**
 * Asks to be signed in by name.
 * @param {Page} page
 * @param {string} user
 */
export async function signInByName(page, user) {
  await page.getByLabel('Your name').fill(user);
  await page.getByRole('button', { name: 'Continue' }).click();
}

/**
 * The number that the bank shows.
 * @param {Page} page
 * @returns {Promise<string>}
 */
export async function numberShown(page) {
  return page
    .getByRole('paragraph')
    .filter({ hasText: /^\d{6}$/ })
    .innerText();
}

/**
 * The numbers that the phone offers.
 * @param {Phone} phone
 */
export function choices(phone) {
  return phone.getByRole('group', { name: 'choose the number that the page shows' }).getByRole('button');
}

/**
 * Where the phone takes the number that the page shows.
 * @param {Phone} phone
 */
export function numberField(phone) {
  return phone.getByLabel('To accept, enter the 6 digits that the page shows');
}

/**
 * Enters a number on the phone, to accept.
 * @param {Phone} phone
 * @param {string} number
 */
export async function enterNumber(phone, number) {
  await numberField(phone).fill(number);
  await phone.getByRole('button', { name: 'Accept' }).click();
}

/**
 * A number that is not this one.
 * @param {string} number
 */
export function another(number) {
  return number === '123456' ? '654321' : '123456';
}

/**
 * Asks for a transfer.
 * @param {Page} page
 * @param {string} payee
 * @param {string} amount
 */
export async function send(page, payee, amount) {
  await page.getByLabel('To', { exact: true }).fill(payee);
  await page.getByLabel('Amount in euros').fill(amount);
  await page.getByRole('button', { name: 'Send money' }).click();
}

/**
 * Asserts what is on the account.
 * @param {Page} page
 * @param {string} amount
 */
export async function expectBalance(page, amount) {
  const balance = page.getByRole('heading', { name: 'Current account' }).locator('..');
  await expect(balance.getByText(amount, { exact: true })).toBeVisible();
}

/**
 * Asks a user something, as a backend does.
 * @param {Server} server
 * @param {string} user
 * @param {string} action
 * @param {...string} more options of `nodkey admin trusonafications create`
 */
export function ask(server, user, action, ...more) {
  const what = ['--user', user, '--action', action, '--resource', 'Acme Bank'];
  return server.admin('trusonafications', 'create', ...what, ...more);
}

/**
 * What became of what was asked of a user, the newest first.
 * @param {Server} server
 * @param {string} user
 * @returns {Promise<string[]>}
 */
export async function statuses(server, user) {
  const { items } = await server.admin('trusonafications', 'list', '--user', user);
  return items.map((/** @type {{status: string}} */ { status }) => status);
}

/**
 * A user's device.
 * @param {Server} server
 * @param {string} user
 * @returns {Promise<string>}
 */
export async function deviceOf(server, user) {
  const { items } = await server.admin('bindings', 'list', '--user', user);
  return items[0].device_identifier;
}

/**
 * Moves the focus by the keyboard alone until it is where it should be.
 * @param {Page} page
 * @param {import('@playwright/test').Locator} target
 */
export async function tabTo(page, target) {
  await expect(target).toBeVisible();
  for (let presses = 0; presses < 40; presses += 1) {
    if (await target.evaluate((element) => element.matches(':focus'))) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`the keyboard does not get to ${target}`);
}
