/** Calls of the bank's page: to the bank's own backend and, for the keys of proofs, to Nodkey's public API. */

import { backoff } from '../lib/pause.js';
import { Problem, call } from '../lib/problem.js';

/** @typedef {{relying_party_id: string, name: string, gateway: string}} Site */
/**
 * @typedef {object} Session
 * @property {string} user
 * @property {string} signed_in_at RFC 3339
 * @property {number} accepted_level
 * @property {string} device_identifier
 * @property {string} request_id
 * @property {string} balance in euros
 */
/**
 * A request that the bank sent to a phone.
 * @typedef {object} Request
 * @property {string} id
 * @property {'sign_in' | 'transfer' | 'attack'} kind
 * @property {'IN_PROGRESS' | 'ACCEPTED' | 'ACCEPTED_AT_HIGHER_LEVEL' | 'ACCEPTED_AT_LOWER_LEVEL' | 'REJECTED' | 'EXPIRED' | 'CANCELED'} status
 * @property {string} action
 * @property {string} resource
 * @property {string} expires_at RFC 3339
 * @property {string} [match_number] only in the answer that creates it
 * @property {'not_me' | 'changed_mind' | 'number_mismatch'} [reject_reason]
 * @property {number} [accepted_level]
 */
/** @typedef {import('../lib/evidence.js').Evidence} Evidence */

const API = '/demo/api';

/**
 * Dispatches `backend` after each call to the bank's backend for which that may have called Nodkey, and `page` with each call of the page
 * itself to Nodkey.
 */
export const activity = new EventTarget();

/** The beginnings of the paths for which the backend calls Nodkey. */
const RECORDED = ['/sign_ins', '/transfers', '/requests'];

/** How long the backend holds a response, in seconds, and after how many milliseconds it is given up. */
const WAIT = 25;
const GIVE_UP = 40_000;

/**
 * The bank's configuration for the page.
 * @returns {Promise<Site>}
 */
export function readSite() {
  return backend('GET', '/site');
}

/**
 * The session, if someone is signed in.
 * @returns {Promise<Session | null>}
 */
export async function readSession() {
  return (await backend('GET', '/session')).session;
}

/** Signs out. */
export async function endSession() {
  await backend('DELETE', '/session');
}

/**
 * Sends a sign-in request to the phone that scanned a code, or to a user by name.
 * @param {{trucode_id: string} | {user: string}} who
 * @returns {Promise<Request>}
 */
export function signIn(who) {
  return backend('POST', '/sign_ins', { body: who });
}

/**
 * Sends a sign-in request to a user's phone, as a stranger who knows the name would.
 * @param {string} user
 * @returns {Promise<Request>}
 */
export function attack(user) {
  return backend('POST', '/sign_ins', { body: { stranger_as: user } });
}

/**
 * Sends a request to confirm a transfer to the user's phone.
 * @param {{payee: string, amount: string}} transfer
 * @returns {Promise<Request>}
 */
export function transfer({ payee, amount }) {
  return backend('POST', '/transfers', { body: { payee, amount } });
}

/**
 * Waits until a request has ended, across network failures.
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<Request>}
 */
export async function untilEnded(id, signal) {
  for (;;) {
    const request = await insist(signal, (patient) => {
      return backend('GET', `/requests/${id}?wait=${WAIT}`, { signal: patient });
    });
    if (request.status !== 'IN_PROGRESS') return request;
  }
}

/**
 * Cancels a request. One that has already ended is left as it is.
 * @param {string} id
 */
export async function cancel(id) {
  await backend('DELETE', `/requests/${id}`).catch((cause) => {
    if (!(cause instanceof Problem) || cause.isPassing) throw cause;
  });
}

/**
 * The evidence of an answer, and the keys to verify it with.
 * @param {string} id
 * @returns {Promise<{evidence: Evidence, jwks: import('../lib/jose.js').Jwks}>}
 */
export async function readProof(id) {
  const [evidence, jwks] = await Promise.all([
    backend('GET', `/requests/${id}/evidence`),
    call('GET', '/jwks', { cache: 'reload' }),
  ]);
  return { evidence, jwks };
}

/**
 * Records what `<nodkey-code>` has called: that it created a code.
 * @param {string} relyingPartyId
 * @param {import('../../../sdk/web/index.js').NodkeyCodeShown} code
 */
export function recordCode(relyingPartyId, { id, payload, matchNumber }) {
  const request = { relying_party_id: relyingPartyId };
  const response = { id, payload, ...request, match_number: matchNumber };
  record({ key: 'code', method: 'POST', path: '/api/v2/trucodes', request, status: 201, response });
}

/**
 * Records what `<nodkey-code>` has called: that it learned that a code is paired.
 * @param {string} id
 */
export function recordPairing(id) {
  record({ method: 'GET', path: `/api/v2/trucodes/${id}`, status: 200, response: { id, paired: true } });
}

/**
 * The calls and events that the backend has recorded for this browser, with numbers above `after`.
 * @param {number} after
 * @returns {Promise<any[]>}
 */
export async function readCalls(after) {
  return (await call('GET', `${API}/calls?after=${after}`)).calls;
}

/**
 * Calls the bank's backend.
 * @param {string} method
 * @param {string} path
 * @param {Parameters<typeof call>[2]} [options]
 */
async function backend(method, path, options) {
  try {
    return await call(method, API + path, options);
  } finally {
    if (RECORDED.some((start) => path.startsWith(start))) activity.dispatchEvent(new Event('backend'));
  }
}

/** @param {{key?: string, method: string, path: string, request?: unknown, status: number, response: unknown}} made */
function record(made) {
  activity.dispatchEvent(new CustomEvent('page', { detail: made }));
}

/**
 * Retries a call until it is answered. A refusal is thrown.
 * @template T
 * @param {AbortSignal} signal
 * @param {(patient: AbortSignal) => Promise<T>} make
 * @returns {Promise<T>}
 */
async function insist(signal, make) {
  for (let failures = 0; ; failures += 1) {
    const patience = AbortSignal.timeout(GIVE_UP);
    try {
      return await make(AbortSignal.any([signal, patience]));
    } catch (cause) {
      signal.throwIfAborted();
      if (!patience.aborted && !(cause instanceof Problem && cause.isPassing)) throw cause;
    }
    await backoff(failures, signal);
  }
}
