/** How the phone gets to know an app: by a ticket of the relying party's backend, which is named by the link that opens the page. */

import { call } from '../lib/problem.js';
import { generateKey, keyStore } from './keys.js';
import { Phone } from './protocol.js';
import { listAccounts, putAccount } from './store.js';

/** @typedef {import('./store.js').Account} Account */
/**
 * What an app is shipped with.
 * @typedef {object} AppConfig
 * @property {string} relyingParty
 * @property {string} gateway
 * @property {{token: string, secret: string}} mobile
 */
/** @typedef {AppConfig & {path: string, user: string}} Ticket */

/** Nothing else is asked for a ticket: a link can name any path, and these alone have tickets. */
const PATH = /^\/(?:demo|console)\/api\/enrolments\/[\w-]{1,200}$/;

/**
 * Reads a ticket.
 * @param {string} path
 * @returns {Promise<Ticket>}
 */
export async function readTicket(path) {
  if (!PATH.test(path)) throw new TypeError('not the path of a ticket');
  const { relying_party: relyingParty, user, gateway, mobile } = await call('GET', path);
  return { path, relyingParty, user, gateway, mobile };
}

/**
 * Reads what the demo site's app would be shipped with.
 * @returns {Promise<AppConfig>}
 */
export async function readDemoApp() {
  const { relying_party: relyingParty, gateway, mobile } = await call('GET', '/demo/api/app');
  return { relyingParty, gateway, mobile };
}

/**
 * Makes keys, registers them and has the backend bind them to the user. The account is kept before the backend is told of
 * it: a phone that is closed in between finishes later, and none is bound whose keys are lost.
 * @param {Ticket} ticket
 * @param {ArrayBuffer} [passkey] of the platform's user verification
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
 * Makes keys and registers them, for the phone that the user has to bind. The account is kept.
 * @param {AppConfig} config
 * @param {string} user what the account is called here
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
 * Tells the backend of a phone it may not have been told of. Repeating it is fine.
 * @param {Account} account
 * @returns {Promise<Account>}
 */
export async function finish({ enrolment, ...account }) {
  if (!enrolment) return account;
  await call('POST', enrolment.path, { body: { device_identifier_jwt: enrolment.jwt } });
  await putAccount(account);
  return account;
}

/** What the relying party may call this phone, until its owner has a better name. */
function deviceName() {
  const agent = navigator.userAgent;
  const browser = /Edg|Firefox|Chrome|Safari/.exec(agent)?.[0].replace('Edg', 'Edge') ?? 'Browser';
  const system = /Android|iPhone|iPad|Windows|Mac OS|Linux/.exec(agent)?.[0].replace('Mac OS', 'Mac');
  return system ? `${browser} on ${system}` : browser;
}
