/** What operators do in the console and on their phones, step by step. */

import { expect } from '@playwright/test';

import { accept, heading } from './acme.js';

/** @typedef {import('@playwright/test').Page} Page */
/** @typedef {import('@playwright/test').BrowserContext} BrowserContext */
/** @typedef {import('@playwright/test').Locator} Locator */
/** @typedef {import('./server.js').Server} Server */
/** @typedef {'owner' | 'operator' | 'auditor'} Role */

/**
 * Invites an operator by the command line.
 * @param {Server} server
 * @param {string} name
 * @param {Role} role
 * @returns {Promise<{id: string, link: string}>}
 */
export function invite(server, name, role) {
  return server.admin('operators', 'invite', name, '--role', role);
}

/**
 * Opens an invitation in a browser, which becomes the operator's phone.
 * @param {BrowserContext} context
 * @param {string} link
 * @returns {Promise<Page>} the phone
 */
export async function enrol(context, link) {
  const phone = await context.newPage();
  await phone.goto(link);
  await phone.getByRole('button', { name: 'Add this account' }).click();
  await expect(heading(phone, 'This phone is set up')).toBeVisible();
  await phone.getByRole('button', { name: 'OK' }).click();
  await expect(account(phone, 'Ready')).toBeVisible();
  return phone;
}

/**
 * The console's account in the phone's list.
 * @param {Page} phone
 * @param {string} state
 */
export function account(phone, state) {
  return phone.getByRole('button', { name: new RegExp(`Nodkey console.*${state}$`) });
}

/**
 * The code that signs in, to be clicked.
 * @param {Page} page
 */
export function code(page) {
  return page.getByRole('button', { name: 'Open this code in the phone of this browser' });
}

/**
 * Hands the code to the phone in the same browser, and goes on there.
 * @param {Page} page
 * @param {Page} phone
 */
export async function scan(page, phone) {
  await code(page).click();
  await expect(heading(phone, /^Continue at Nodkey console ?\?$/)).toBeVisible();
  await phone.getByRole('button', { name: 'Continue' }).click();
}

/**
 * Signs in by clicking the code that is shown, and accepting on the phone.
 * @param {Page} page
 * @param {Page} phone
 */
export async function signIn(page, phone) {
  await scan(page, phone);
  await accept(phone);
  await expect(page.getByRole('navigation', { name: 'Console' })).toBeVisible();
}

/**
 * Enrols an operator in the browser of a page, and signs in there.
 * @param {Page} page
 * @param {{url: string}} server
 * @param {string} link of the invitation
 * @returns {Promise<Page>} the phone
 */
export async function enter(page, { url }, link) {
  const phone = await enrol(page.context(), link);
  await page.goto(`${url}/console`);
  await signIn(page, phone);
  return phone;
}

/**
 * The id of Acme Bank, which every server has.
 * @param {Server} server
 * @returns {Promise<string>}
 */
export async function acme(server) {
  const { items } = await server.admin('bindings', 'list');
  return items[0].relying_party_id;
}

/**
 * Opens a view by its address.
 * @param {Page} page
 * @param {{url: string}} server
 * @param {string} view
 * @param {Record<string, string>} [query]
 */
export async function open(page, { url }, view, query = {}) {
  await page.goto(`${url}/console/${view}?${new URLSearchParams(query)}`);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
}

/**
 * Goes to a view by the navigation.
 * @param {Page} page
 * @param {string} title
 */
export async function go(page, title) {
  await page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name: title, exact: true }).click();
  await expect(heading(page, title)).toBeFocused();
}

/**
 * The row of a list that holds a text.
 * @param {Page} page
 * @param {string | RegExp} text
 */
export function row(page, text) {
  return page.getByRole('row').filter({ hasText: text });
}

/**
 * Chooses from the menu of a row.
 * @param {Locator} row
 * @param {string} item
 */
export async function choose(row, item) {
  await row.getByRole('button', { name: /^Actions on/ }).click();
  await row.getByRole('button', { name: item, exact: true }).click();
}

/**
 * The dialog that is open.
 * @param {Page} page
 * @param {string} [name]
 */
export function dialog(page, name) {
  return page.getByRole('dialog', name ? { name, exact: true } : {});
}

/**
 * Confirms what a dialog asks, which closes it.
 * @param {Page} page
 * @param {string} submit what its button says
 */
export async function confirm(page, submit) {
  const asked = dialog(page);
  await asked.getByRole('button', { name: submit, exact: true }).click();
  await expect(asked).toBeHidden();
}

/**
 * The same, where the operator has to confirm it on their phone, too.
 * @param {Page} page
 * @param {string} submit
 * @param {() => Promise<unknown>} onPhone
 */
export async function confirmTwice(page, submit, onPhone) {
  await dialog(page).getByRole('button', { name: submit, exact: true }).click();
  await onPhone();
  await expect(dialog(page)).toBeHidden();
}

/**
 * Accepts on a phone what a page asks it to confirm, by the number that the page shows.
 * @param {Page} page
 * @param {import('../../assets/phone/protocol.js').Phone} phone
 * @returns {Promise<string>} what the phone showed
 */
export async function confirmOn(page, phone) {
  const shown = dialog(page, 'Confirm on your phone');
  const number = await shown.getByRole('status').innerText();
  const { asked } = await import('./soft_phone.js');
  const pending = await asked(phone);
  await phone.respond(pending, 'accept', { number });
  await expect(shown).toBeHidden();
  return `${pending.challenge.act}: ${pending.challenge.res}`;
}

/**
 * Asserts what the console says in passing.
 * @param {Page} page
 * @param {string} text
 */
export async function expectToast(page, text) {
  await expect(page.getByRole('status').getByText(text, { exact: true })).toBeVisible();
}

/**
 * Calls a method as the page can, without the buttons for it.
 * @param {Page} page
 * @param {string} method
 * @param {object} message
 * @returns {Promise<{status: number, error?: string}>}
 */
export function rpc(page, method, message) {
  return page.evaluate(
    async ([path, body]) => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(path, { method: 'POST', headers, body });
      return { status: response.status, error: (await response.json()).error };
    },
    [`/console/api/rpc/nodkey.${method}`, JSON.stringify(message)],
  );
}
