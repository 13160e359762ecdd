/** Whose word a phone takes: the deployment's keys (docs/protocol/mobile.md, sections 5 and 12). */

import { JoseError } from '../lib/jose.js';
import { json } from '../lib/problem.js';
import { Untrusted } from './errors.js';

/** @typedef {import('../lib/jose.js').Jwks} Jwks */

/** How soon the gateway is asked again, at the soonest, once it did not know a key either, in milliseconds. */
const AGAIN = 5_000;

/** The deployment's public keys, as far as the phone knows them. */
export class KeySet {
  #transport;
  #jwks;
  #isPinned;
  #onJwks;
  /** When the gateway was asked for a key that it did not know. */
  #missedAt = -Infinity;

  /**
   * @param {object} config
   * @param {import('./transport.js').Transport} config.transport
   * @param {Jwks} [config.jwks] those that are known
   * @param {boolean} [config.isPinned] whether no others are taken
   * @param {(jwks: Jwks) => void} [config.onJwks] is given what was fetched
   */
  constructor({ transport, jwks, isPinned = false, onJwks }) {
    this.#transport = transport;
    this.#jwks = jwks;
    this.#isPinned = isPinned;
    this.#onJwks = onJwks;
  }

  /**
   * Verifies by the keys. Where none of them is the one that signed, the deployment may have another one by now: they are fetched from
   * the gateway itself, once, and TLS alone says whose they are.
   * @template T
   * @param {(jwks: Jwks) => Promise<T>} verify
   * @returns {Promise<T>}
   */
  async verify(verify) {
    try {
      return await this.#verify(verify);
    } catch (e) {
      throw e instanceof JoseError ? new Untrusted('SIGNATURE', e) : e;
    }
  }

  /**
   * @template T
   * @param {(jwks: Jwks) => Promise<T>} verify
   * @returns {Promise<T>}
   */
  async #verify(verify) {
    const now = this.#transport.now();
    try {
      if (this.#jwks) return await verify(this.#jwks);
    } catch (e) {
      const isEarly = this.#missedAt <= now && now - this.#missedAt < AGAIN;
      if (!isUnknown(e) || this.#isPinned || isEarly) throw e;
    }
    try {
      return await verify(await this.#fetch());
    } catch (e) {
      if (isUnknown(e)) this.#missedAt = now;
      throw e;
    }
  }

  /** @returns {Promise<Jwks>} */
  async #fetch() {
    /** @type {Jwks} */
    const jwks = await json(await this.#transport.get('/jwks'));
    if (!Array.isArray(jwks?.keys)) throw new Untrusted('MALFORMED');
    this.#jwks = jwks;
    this.#onJwks?.(jwks);
    return jwks;
  }
}

/** @param {unknown} e */
function isUnknown(e) {
  return e instanceof JoseError && e.code === 'UNKNOWN_KEY';
}
