/** Operators' phones without a page: the protocol alone, for tests that are about something else. */

import { expect } from '@playwright/test';

import { generateKey, keyStore } from '../../assets/phone/keys.js';
import { Phone } from '../../assets/phone/protocol.js';
import { invite } from './console.js';

/**
 * Takes an invitation.
 * @param {string} gateway
 * @param {string} link
 * @param {{presence?: boolean}} [options] whether it can prove that its owner is there
 * @returns {Promise<Phone>}
 */
export async function enrol(gateway, link, { presence = true } = {}) {
  const path = link.slice(link.indexOf('#enrol=') + '#enrol='.length);
  const { mobile } = await (await fetch(gateway + path)).json();
  const keys = await keyStore(await generateKey(), await generateKey(), async () => {});
  if (!presence) keys.presenceKeys = [];
  const phone = await Phone.open({ gateway, keys });
  const { device_identifier_jwt } = await phone.register(mobile, { name: 'soft phone' });
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ device_identifier_jwt });
  expect((await fetch(gateway + path, { method: 'POST', headers, body })).status).toBe(204);
  return phone;
}

/**
 * Scans a code, and accepts what is asked then.
 * @param {Phone} phone
 * @param {string} payload
 */
export async function scanAndAccept(phone, payload) {
  await phone.pair(/** @type {import('../../assets/phone/trucode.js').Scanned} */ ({ payload }));
  return phone.respond(await asked(phone), 'accept');
}

/**
 * What a phone is asked; waits for it.
 * @param {Phone} phone
 * @returns {Promise<import('../../assets/phone/protocol.js').Pending>}
 */
export async function asked(phone) {
  for await (const event of phone.events()) {
    if (event.type === 'prompt') return event.pending;
  }
  throw new Error('nothing was asked');
}

/**
 * Invites an operator, and signs them in in the browser of a page.
 * @param {import('@playwright/test').Page} page
 * @param {import('./server.js').Server} server
 * @param {string} name
 * @param {import('./console.js').Role} role
 */
export async function signInAs(page, server, name, role) {
  const { link } = await invite(server, name, role);
  await signIn(page, server, await enrol(server.url, link));
}

/**
 * Signs the operator of a phone in in the browser of a page.
 * @param {import('@playwright/test').Page} page
 * @param {{url: string}} server
 * @param {Phone} phone
 */
export async function signIn(page, server, phone) {
  const path = `${server.url}/console/api/sign_in`;
  const begun = await page.request.post(path, { data: {} });
  // Whoever scanned the code is asked when the page that shows it hears of that, so it looks meanwhile.
  const ended = endOfSignIn(page, path);
  await scanAndAccept(phone, (await begun.json()).payload);
  expect(await ended).toBe('ACCEPTED');
}

/**
 * Waits for a sign-in as its page does.
 * @param {import('@playwright/test').Page} page
 * @param {string} path
 * @returns {Promise<string>}
 */
async function endOfSignIn(page, path) {
  let status = 'WAITING';
  while (['WAITING', 'SCANNED'].includes(status)) {
    const answer = await page.request.get(path, { params: { wait: '25', after: status } });
    ({ status } = await answer.json());
  }
  return status;
}
