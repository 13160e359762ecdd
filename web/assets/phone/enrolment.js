/** Enrolls the phone with a relying party, by a ticket of its backend that the link of an invitation names. */

import { call } from '../lib/problem.js';
import { generateKey, keyStore } from './keys.js';
import { Phone } from './protocol.js';
import { listAccounts, putAccount } from './store.js';

/** @typedef {import('./store.js').Account} Account */
/**
 * The configuration that an app ships with.
 * @typedef {object} AppConfig
 * @property {string} relyingParty
 * @property {string} gateway
 * @property {{token: string, secret: string}} mobile
 */
/** @typedef {AppConfig & {path: string, user: string}} Ticket */

/** The only paths that serve tickets. A link can name any path, so no other is requested. */
const PATH = /^\/(?:demo|console)\/api\/enrolments\/[\w-]{1,200}$/;

/**
 * Reads a ticket.
 * @param {string} path
 * @returns {Promise<Ticket>}
 */
export async function readTicket(path) {
  if (!PATH.test(path)) throw new TypeError('the path is not that of a ticket');
  const { relying_party: relyingParty, user, gateway, mobile } = await call('GET', path);
  return { path, relyingParty, user, gateway, mobile };
}

/**
 * Reads the configuration that the demo site's app would ship with.
 * @returns {Promise<AppConfig>}
 */
export async function readDemoApp() {
  const { relying_party: relyingParty, gateway, mobile } = await call('GET', '/demo/api/app');
  return { relyingParty, gateway, mobile };
}

/**
 * Generates keys, registers them and has the backend bind them to the user. The account is stored before the backend is notified, so that
 * a phone closed in between finishes later and no bound device loses its keys.
 * @param {Ticket} ticket
 * @param {ArrayBuffer} [passkey] for the platform's user verification
 * @returns {Promise<Account>}
 */
export async function enrol({ path, relyingParty, user, gateway, mobile }, passkey) {
  const begun = (await listAccounts()).find((account) => account.enrolment?.path === path);
  if (begun) return finish(begun);
  const { account, jwt } = await register({ relyingParty, gateway, mobile }, user, passkey);
  const unfinished = { ...account, enrolment: { path, jwt } };
  await putAccount(unfinished);
  return finish(unfinished);
}

/**
 * Generates keys and registers them; the user's current phone binds the device later. The account is stored.
 * @param {AppConfig} config
 * @param {string} user the account's name on this phone
 * @param {ArrayBuffer} [passkey]
 * @returns {Promise<Account>}
 */
export async function prepare(config, user, passkey) {
  const { account } = await register(config, user, passkey);
  await putAccount(account);
  return account;
}

/**
 * @param {AppConfig} config
 * @param {string} user
 * @param {ArrayBuffer} [passkey]
 */
async function register({ relyingParty, gateway, mobile }, user, passkey) {
  const [deviceKey, presenceKey] = await Promise.all([generateKey(), generateKey()]);
  const keys = await keyStore(deviceKey, presenceKey, async () => {});
  const jwks = await call('GET', '/jwks', { cache: 'reload' });
  const phone = await Phone.open({ gateway, origin: location.origin, keys, jwks });
  const name = deviceName();
  const { device_identifier_jwt: jwt, capabilities } = await phone.register(mobile, { name, platform: 'web' });
  const account = {
    id: phone.deviceIdentifier,
    relyingParty,
    user,
    gateway,
    jwks,
    deviceKey,
    presenceKey,
    passkey,
    name,
    addedAt: Date.now(),
    isDeclared: Boolean(capabilities?.length),
  };
  return { account, jwt };
}

/**
 * Notifies the backend of a phone it may not know yet. Idempotent.
 * @param {Account} account
 * @returns {Promise<Account>}
 */
export async function finish({ enrolment, ...account }) {
  if (!enrolment) return account;
  await call('POST', enrolment.path, { body: { device_identifier_jwt: enrolment.jwt } });
  await putAccount(account);
  return account;
}

/** The phone's default name at the relying party. */
function deviceName() {
  const agent = navigator.userAgent;
  const browser = /Edg|Firefox|Chrome|Safari/.exec(agent)?.[0].replace('Edg', 'Edge') ?? 'Browser';
  const system = /Android|iPhone|iPad|Windows|Mac OS|Linux/.exec(agent)?.[0].replace('Mac OS', 'Mac');
  return system ? `${browser} on ${system}` : browser;
}
