/** What the console's server offers; see `/console/api` in the gateway. */
import { backoff } from '../lib/pause.js';
import { call, Problem, send as fetchAnswer } from '../lib/problem.js';
import { serverEvents } from '../lib/sse.js';

const API = '/console/api';

/** @typedef {'owner' | 'operator' | 'auditor'} Role */
/** @typedef {{ id: string, name: string, role: Role }} Operator */
/** @typedef {{ operator: Operator, expires_at: string, public_url: string, version: string }} Session */
/** @typedef {'WAITING' | 'SCANNED' | 'ACCEPTED' | 'REJECTED' | 'EXPIRED' | 'REFUSED'} SignInStatus */
/** @typedef {{ id: string, services: string[], version?: string, started_at?: string, ready: boolean, problems: string[], metrics: string, dead_letters: DeadLetter[] }} Process Of one that does not answer little is known. */
/** @typedef {{ consumer: string, event_id: string, subject: string, cause: string, given_up_at: string }} DeadLetter */
/** @typedef {{ relyingParty?: string, service?: string, signal?: AbortSignal }} Scope Whom a call acts for, which service it is for where any has the method, and what ends it. */

/** Tells, by the event `over`, that the server knows of no session any more. */
export const session = new EventTarget();

/**
 * Returns the session of this browser, or null.
 * @returns {Promise<Session | null>}
 */
export async function getSession() {
  const answer = await call('GET', `${API}/session`);
  return answer.operator ? answer : null;
}

/**
 * Signs out.
 * @returns {Promise<void>}
 */
export function endSession() {
  return call('DELETE', `${API}/session`);
}

/**
 * Makes a code to sign in by, for this browser alone.
 * @param {AbortSignal} signal
 * @returns {Promise<{ payload: string, expires_at: string }>}
 */
export function startSignIn(signal) {
  return call('POST', `${API}/sign_in`, { body: {}, signal });
}

/**
 * Waits until a sign-in is no longer as it was, 25 s at most.
 * @param {SignInStatus} after
 * @param {AbortSignal} signal
 * @returns {Promise<SignInStatus>}
 */
export async function signInStatus(after, signal) {
  return (await call('GET', `${API}/sign_in?wait=25&after=${after}`, { signal })).status;
}

/**
 * Returns every process with its health and metrics.
 * @param {AbortSignal} signal
 * @returns {Promise<Process[]>}
 */
export async function getStatus(signal) {
  return (await guarded(call('GET', `${API}/status`, { signal }))).processes;
}

/**
 * Calls a method. One that the operator has to confirm on their phone is called again once they have; until then a dialog says so.
 * @param {string} method `registry.v1.DeviceService/GetDevice`
 * @param {object} message the request as proto3 JSON
 * @param {Scope} scope
 * @returns {Promise<any>} the answer as proto3 JSON
 */
export async function rpc(method, message, scope) {
  try {
    return await send(method, message, scope);
  } catch (cause) {
    if (!(cause instanceof Problem && cause.error === 'CONFIRMATION_REQUIRED')) throw cause;
    return confirmed(method, message, { request: JSON.stringify(message) }, scope);
  }
}

/**
 * Calls a method that takes a stream, which the operator has to confirm on their phone first. A failure that leaves open whether it was done
 * says `mayBeDone`.
 * @param {string} method `binding.v1.ImportService/ImportUsers`
 * @param {object[]} messages as proto3 JSON
 * @param {string} streamSha256 the digest of all messages
 * @param {Scope} scope
 * @returns {Promise<any>} the answer as proto3 JSON
 */
export function rpcStream(method, messages, streamSha256, scope) {
  return confirmed(method, messages, { streamSha256 }, scope);
}

/**
 * @param {string} method
 * @param {object} body a message, or all messages of a stream
 * @param {{ request: string } | { streamSha256: string }} what it is confirmed by
 * @param {Scope} scope
 */
async function confirmed(method, body, what, scope) {
  const { confirm } = await import('./confirm.js');
  const id = await confirm((name, message) => send(`registry.v1.ConfirmationService/${name}`, message, scope), {
    method: `nodkey.${method}`,
    ...what,
  });
  return send(method, body, scope, { 'x-nodkey-confirmation': id }).catch((cause) => {
    if (isUnanswered(cause)) cause.mayBeDone = true;
    throw cause;
  });
}

/**
 * Whether a call failed without an answer of the service: it goes on without its caller.
 * @param {unknown} cause
 * @returns {cause is Problem}
 */
function isUnanswered(cause) {
  return cause instanceof Problem && [0, 502, 503, 504].includes(cause.status) && cause.error !== 'OVERLOADED';
}

/**
 * @param {string} method
 * @param {object} message
 * @param {Scope} scope
 * @param {Record<string, string>} [more] headers
 * @returns {Promise<any>}
 */
function send(method, message, { relyingParty, service, signal }, more = {}) {
  const named = { ...headers(relyingParty), ...(service && { 'x-nodkey-service': service }), ...more };
  return guarded(call('POST', path(method), { body: message, headers: named, signal }));
}

/**
 * Follows a method that streams until `signal` says so, and connects again when the connection is lost.
 * @param {string} method
 * @param {object} message
 * @param {Scope & { signal: AbortSignal, onConnection?: (connected: boolean) => void }} scope
 * @returns {AsyncGenerator<any, void, void>}
 */
export async function* follow(method, message, { relyingParty, signal, onConnection = () => {} }) {
  const init = {
    method: 'POST',
    headers: { accept: 'text/event-stream', 'content-type': 'application/json', ...headers(relyingParty) },
    body: JSON.stringify(message),
    signal,
  };
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      const response = await guarded(fetchAnswer(path(method), init));
      onConnection(true);
      for await (const { data } of serverEvents(response)) {
        failures = 0;
        yield JSON.parse(data);
      }
    } catch (cause) {
      if (signal.aborted) return;
      if (cause instanceof Problem && !cause.isPassing) throw cause;
    }
    onConnection(false);
    await backoff(failures, signal).catch(() => {});
  }
}

/** @param {string} method */
function path(method) {
  return `${API}/rpc/nodkey.${method}`;
}

/**
 * @param {string} [relyingParty]
 * @returns {Record<string, string>}
 */
function headers(relyingParty) {
  return relyingParty ? { 'x-nodkey-relying-party': relyingParty } : {};
}

/**
 * @template T
 * @param {Promise<T>} answer
 * @returns {Promise<T>}
 */
async function guarded(answer) {
  try {
    return await answer;
  } catch (cause) {
    if (cause instanceof Problem && cause.status === 401) session.dispatchEvent(new Event('over'));
    throw cause;
  }
}
