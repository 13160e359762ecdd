/** What a search finds: pages and relying parties in the browser, everything else on the server. */
import { rpc } from '../api.js';
import { CREDENTIAL_KINDS } from '../names.js';
import { allRelyingParties } from '../relying_parties.js';
import { address } from '../router.js';
import { VIEWS } from '../views.js';
import { orNull, Problem } from '../../lib/problem.js';

/** @typedef {{ kind: string, text: string, note?: string, href: string }} Found */
/** @typedef {{ text: string, relyingParty: string, signal: AbortSignal }} Wanted */
/** @typedef {{ found: Found[], failed: { what: string, cause: Problem }[] }} Results What was found, and what could not be searched. */

/** The most results of one kind. */
const MOST = 6;
/** Devices are found by name among the newest of the relying party. */
const NEWEST_DEVICES = 100;
/** Credentials are found among the newest of the relying party. */
const NEWEST_CREDENTIALS = 500;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const DEVICE_IDENTIFIER = /^[\w-]{43}$/;

/**
 * Finds what this page already knows.
 * @param {string} text
 * @param {string} relyingParty
 * @returns {Found[]}
 */
export function findHere(text, relyingParty) {
  const pages = Object.entries(VIEWS)
    .filter(([, { title, icon }]) => icon && contains(title, text))
    .map(([view, { title, scoped }]) => ({
      kind: 'Page',
      text: title,
      href: address(view, scoped ? { rp: relyingParty } : {}),
    }));
  const parties = allRelyingParties()
    .filter(({ id, name }) => contains(name, text) || id === text)
    .map(({ id, name }) => ({ kind: 'Relying party', text: name, href: address('trusonafications', { rp: id }) }));
  return [...pages.slice(0, MOST), ...parties.slice(0, MOST)];
}

/**
 * Finds what belongs to the relying party.
 * @param {Wanted} wanted
 * @returns {Promise<Results>}
 */
export async function findThere(wanted) {
  /** @type {Results} */
  const results = { found: [], failed: [] };
  if (!wanted.relyingParty) return results;
  /** @type {[what: string, search: (wanted: Wanted) => Promise<Found[]>][]} */
  const searches = [
    ['users', users],
    ['devices', devices],
    ['credentials', credentials],
  ];
  if (UUID.test(wanted.text)) searches.push(['trusonafications', trusonafication], ['deliveries', delivery]);
  const settled = await Promise.allSettled(searches.map(([, search]) => search(wanted)));
  settled.forEach((each, i) => {
    if (each.status === 'fulfilled') results.found.push(...each.value);
    else if (each.reason instanceof Problem) results.failed.push({ what: searches[i][0], cause: each.reason });
    else throw each.reason;
  });
  return results;
}

/**
 * @param {Wanted} wanted
 * @returns {Promise<Found[]>}
 */
async function users(wanted) {
  const message = { prefix: wanted.text, pageSize: MOST };
  const { users: found = [] } = await read(wanted, 'binding.v1.UserService/ListUsers', message);
  return found.map((/** @type {{ userIdentifier: string, devices?: number }} */ { userIdentifier, devices = 0 }) => ({
    kind: 'User',
    text: userIdentifier,
    note: devices === 1 ? '1 device' : `${devices} devices`,
    href: address('users', { rp: wanted.relyingParty, user: userIdentifier }),
  }));
}

/**
 * @param {Wanted} wanted
 * @returns {Promise<Found[]>}
 */
async function devices(wanted) {
  const service = 'registry.v1.DeviceService';
  /** @type {import('../types.js').Device[]} */
  let found;
  if (DEVICE_IDENTIFIER.test(wanted.text)) {
    const device = await orNull(read(wanted, `${service}/GetDevice`, { deviceId: wanted.text }));
    found = device ? [device] : [];
  } else {
    const { devices: newest = [] } = await read(wanted, `${service}/ListDevices`, { pageSize: NEWEST_DEVICES });
    found = newest.filter((/** @type {import('../types.js').Device} */ { id, name = '' }) => {
      return contains(name, wanted.text) || id.startsWith(wanted.text);
    });
  }
  return found.slice(0, MOST).map(({ id, name }) => ({
    kind: 'Device',
    text: name || 'Unnamed device',
    note: id,
    href: address('users', { rp: wanted.relyingParty, device: id }),
  }));
}

/**
 * @param {Wanted} wanted
 * @returns {Promise<Found[]>}
 */
async function credentials(wanted) {
  const message = { relyingPartyId: wanted.relyingParty, pageSize: NEWEST_CREDENTIALS };
  const { credentials: newest = [] } = await read(wanted, 'registry.v1.CredentialService/ListCredentials', message);
  /** @type {{ id: string, kind: string, token: string, name?: string }[]} */
  const found = newest.filter(
    (/** @type {{ id: string, token: string, name?: string }} */ { id, token, name = '' }) => {
      return contains(name, wanted.text) || id.startsWith(wanted.text.toLowerCase()) || token === wanted.text;
    },
  );
  return found.slice(0, MOST).map(({ id, kind, name }) => ({
    kind: 'Credential',
    text: name || `${CREDENTIAL_KINDS[kind] ?? kind} credential`,
    note: id,
    href: address('credentials', { rp: wanted.relyingParty }),
  }));
}

/**
 * @param {Wanted} wanted
 * @returns {Promise<Found[]>}
 */
async function trusonafication(wanted) {
  const id = wanted.text.toLowerCase();
  const method = 'trusonafication.v1.TrusonaficationService/GetTrusonafication';
  const found = await orNull(read(wanted, method, { id }));
  if (!found) return [];
  const href = address('trusonafication', { rp: wanted.relyingParty, id });
  return [{ kind: 'Trusonafication', text: found.action, note: found.resource, href }];
}

/**
 * @param {Wanted} wanted
 * @returns {Promise<Found[]>}
 */
async function delivery(wanted) {
  const id = wanted.text.toLowerCase();
  const found = await orNull(read(wanted, 'notification.v1.DeliveryService/GetDelivery', { id }));
  if (!found) return [];
  const href = address('delivery', { rp: wanted.relyingParty, id });
  return [{ kind: 'Delivery', text: found.eventType, note: found.url, href }];
}

/**
 * @param {Wanted} wanted
 * @param {string} method
 * @param {object} message
 */
function read({ relyingParty, signal }, method, message) {
  return rpc(method, message, { relyingParty, signal });
}

/**
 * @param {string} text
 * @param {string} part
 */
function contains(text, part) {
  return text.toLowerCase().includes(part.toLowerCase());
}
