/** What the bank's page asks: the bank's own backend and, as any page of a relying party, Nodkey's public API. */

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
 * Something the bank asked on a phone.
 * @typedef {object} Request
 * @property {string} id
 * @property {'sign_in' | 'transfer' | 'attack'} kind
 * @property {'IN_PROGRESS' | 'ACCEPTED' | 'ACCEPTED_AT_HIGHER_LEVEL' | 'ACCEPTED_AT_LOWER_LEVEL' | 'REJECTED' | 'EXPIRED' | 'CANCELED'} status
 * @property {string} action
 * @property {string} resource
 * @property {string} expires_at RFC 3339
 * @property {string} [match_number] only when it was just created
 * @property {'not_me' | 'changed_mind' | 'number_mismatch'} [reject_reason]
 * @property {number} [accepted_level]
 */
/** @typedef {import('../lib/evidence.js').Evidence} Evidence */
/** @typedef {{id: string, payload: string, expiresAt: number, matchNumber?: string}} Code */

const API = '/demo/api';
/** Seconds the backend holds an answer back, and milliseconds after which it is not going to come. */
const WAIT = 25;
const GIVE_UP = 40_000;

/**
 * What the page has to know of the bank.
 * @returns {Promise<Site>}
 */
export function readSite() {
  return call('GET', `${API}/site`);
}

/**
 * Who is signed in, if anybody is.
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
 * Asks a phone whether its owner signs in: whoever scanned a code, or a user by name.
 * @param {{trucode_id: string} | {user: string}} who
 * @returns {Promise<Request>}
 */
export function signIn(who) {
  return call('POST', `${API}/sign_ins`, { body: who });
}

/**
 * Asks a user's phone, as a stranger who knows the name would.
 * @param {string} user
 * @returns {Promise<Request>}
 */
export function attack(user) {
  return call('POST', `${API}/sign_ins`, { body: { stranger_as: user } });
}

/**
 * Asks the user's phone whether a transfer is meant.
 * @param {{payee: string, amount: string}} transfer
 * @returns {Promise<Request>}
 */
export function transfer({ payee, amount }) {
  return call('POST', `${API}/transfers`, { body: { payee, amount } });
}

/**
 * Waits until a request is over, through whatever the network does.
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<Request>}
 */
export async function untilOver(id, signal) {
  for (;;) {
    const request = await insist(signal, (patient) => {
      return call('GET', `${API}/requests/${id}?wait=${WAIT}`, { signal: patient });
    });
    if (request.status !== 'IN_PROGRESS') return request;
  }
}

/**
 * Takes a request back. One that is over is none to be taken back, which is fine.
 * @param {string} id
 */
export async function cancel(id) {
  await call('DELETE', `${API}/requests/${id}`).catch((cause) => {
    if (!(cause instanceof Problem) || cause.isPassing) throw cause;
  });
}

/**
 * The proof of an answer, and the keys it is verified by.
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
 * Makes a secure QR code.
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
 * Waits until a code is paired, or over.
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether it is paired
 */
export async function untilPaired(id, signal) {
  const { paired } = await insist(signal, (patient) => call('GET', `/api/v2/trucodes/${id}`, { signal: patient }));
  return paired;
}

/**
 * Makes a call again and again until it is answered; what is refused is thrown.
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
 * When a code is over, in milliseconds. Only to know when to make the next: its signature is the phone's to verify.
 * @param {string} payload
 * @returns {number}
 */
function expiryOf(payload) {
  return JSON.parse(new TextDecoder().decode(b64uDecode(payload.split('.')[1]))).exp;
}
