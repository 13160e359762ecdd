/** The two calls of a page that shows codes. They need no credential, and send none. */

import { json, send } from '../../../web/assets/lib/problem.js';
import { Lifetime } from './lifetime.js';
import { CodeError, Policy, explain } from './problem.js';

/** @typedef {{id: string, payload: string, matchNumber?: string, lifetime: Lifetime}} Code */

/** How long a call may take that the gateway answers at once, in milliseconds. */
const SOON = 15_000;
/** How long the gateway may hold a call, in milliseconds: the longest that a code lives, and a little more. */
const HELD = 70_000;

/** A gateway, as pages of any origin call it. */
export class Gateway {
  #url;
  #relyingParty;
  #policy;

  /**
   * @param {string} url without a slash at its end
   * @param {string} relyingParty UUID
   * @param {AbortSignal} signal when it is used no more
   */
  constructor(url, relyingParty, signal) {
    this.#url = url;
    this.#relyingParty = relyingParty;
    this.#policy = new Policy(new URL(url).origin, signal);
  }

  /**
   * Creates a code.
   * @param {AbortSignal} signal
   * @returns {Promise<Code>}
   */
  async create(signal) {
    const body = JSON.stringify({ relying_party_id: this.#relyingParty });
    const response = await this.#send('/api/v2/trucodes', { method: 'POST', body }, SOON, signal);
    const { id, payload, match_number: matchNumber } = await json(response);
    return { id, payload, matchNumber, lifetime: Lifetime.until(expiryOf(payload), response.headers.get('date')) };
  }

  /**
   * Waits until a code is paired or over. A gateway that is to stop answers before.
   * @param {string} id
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether it is paired
   */
  async paired(id, signal) {
    return (await json(await this.#send(`/api/v2/trucodes/${id}`, {}, HELD, signal))).paired;
  }

  /**
   * Says why a call failed.
   * @param {unknown} cause
   */
  explain(cause) {
    return explain(cause, this.#policy, () => this.#answers());
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @param {number} patience milliseconds
   * @param {AbortSignal} signal
   */
  #send(path, init, patience, signal) {
    /** @type {HeadersInit} */
    const headers = init.body
      ? { accept: 'application/json', 'content-type': 'application/json' }
      : { accept: 'application/json' };
    return send(this.#url + path, {
      ...init,
      headers,
      credentials: 'omit',
      cache: 'no-store',
      signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]),
    });
  }

  /** Whether something answers that the page may not read. */
  async #answers() {
    const init = /** @type {const} */ ({ mode: 'no-cors', credentials: 'omit', cache: 'no-store' });
    const probe = fetch(`${this.#url}/sdk/nodkey-code.json`, { ...init, signal: AbortSignal.timeout(SOON) });
    return probe.then(
      ({ type }) => type === 'opaque',
      () => false,
    );
  }
}

/**
 * When a code ends by the server's clock, in milliseconds. It only says when the next one is due: phones verify the signature.
 * @param {string} payload
 * @returns {number}
 */
function expiryOf(payload) {
  try {
    const claims = payload.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(atob(claims)).exp;
  } catch (cause) {
    throw new CodeError('UNEXPECTED', 'the gateway sent a code that is none', { cause });
  }
}
