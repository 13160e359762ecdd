/** Calls of the bank's page: to the bank's own backend and, like any page of a relying party, to Nodkey's public API. */

import { backoff } from '../lib/pause.js';
import { b64uDecode } from '../lib/jose.js';
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
/** @typedef {{id: string, payload: string, expiresAt: number, matchNumber?: string}} Code */

const API = '/demo/api';
/** How long the backend holds a response, in seconds, and after how many milliseconds it is given up. */
const WAIT = 25;
const GIVE_UP = 40_000;

/**
 * The bank's configuration for the page.
 * @returns {Promise<Site>}
 */
export function readSite() {
  return call('GET', `${API}/site`);
}

/**
 * The session, if someone is signed in.
 * @returns {Promise<Session | null>}
 */
export async function readSession() {
  return (await call('GET', `${API}/session`)).session;
}

/** Signs out. */
export async function endSession() {
  await call('DELETE', `${API}/session`);
}

/**
 * Sends a sign-in request to the phone that scanned a code, or to a user by name.
 * @param {{trucode_id: string} | {user: string}} who
 * @returns {Promise<Request>}
 */
export function signIn(who) {
  return call('POST', `${API}/sign_ins`, { body: who });
}

/**
 * Sends a sign-in request to a user's phone, as a stranger who knows the name would.
 * @param {string} user
 * @returns {Promise<Request>}
 */
export function attack(user) {
  return call('POST', `${API}/sign_ins`, { body: { stranger_as: user } });
}

/**
 * Sends a request to confirm a transfer to the user's phone.
 * @param {{payee: string, amount: string}} transfer
 * @returns {Promise<Request>}
 */
export function transfer({ payee, amount }) {
  return call('POST', `${API}/transfers`, { body: { payee, amount } });
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
      return call('GET', `${API}/requests/${id}?wait=${WAIT}`, { signal: patient });
    });
    if (request.status !== 'IN_PROGRESS') return request;
  }
}

/**
 * Cancels a request. One that has already ended is left as it is.
 * @param {string} id
 */
export async function cancel(id) {
  await call('DELETE', `${API}/requests/${id}`).catch((cause) => {
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
    call('GET', `${API}/requests/${id}/evidence`),
    call('GET', '/jwks', { cache: 'reload' }),
  ]);
  return { evidence, jwks };
}

/**
 * Creates a secure QR code.
 * @param {string} relyingPartyId
 * @param {AbortSignal} signal
 * @returns {Promise<Code>}
 */
export async function createCode(relyingPartyId, signal) {
  const body = { relying_party_id: relyingPartyId };
  const made = await insist(signal, (patient) => call('POST', '/api/v2/trucodes', { body, signal: patient }));
  const { id, payload, match_number: matchNumber } = made;
  return { id, payload, matchNumber, expiresAt: expiryOf(payload) };
}

/**
 * Waits until a code is paired or has expired.
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether it is paired
 */
export async function untilPaired(id, signal) {
  const { paired } = await insist(signal, (patient) => call('GET', `/api/v2/trucodes/${id}`, { signal: patient }));
  return paired;
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

/**
 * When a code expires, in milliseconds. Only used to schedule the next code: the phone verifies the signature.
 * @param {string} payload
 * @returns {number}
 */
function expiryOf(payload) {
  return JSON.parse(new TextDecoder().decode(b64uDecode(payload.split('.')[1]))).exp;
}
