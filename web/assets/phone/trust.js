/** The deployment's public keys, which a phone trusts (docs/protocol/mobile.md, sections 5 and 12). */

import { JoseError } from '../lib/jose.js';
import { json } from '../lib/problem.js';
import { Untrusted } from './errors.js';

/** @typedef {import('../lib/jose.js').Jwks} Jwks */

/** How long to wait before fetching again after the gateway did not know a key either, in milliseconds. */
const REFETCH_INTERVAL = 5_000;

/** The deployment's public keys that the phone knows. */
export class KeySet {
  #transport;
  #jwks;
  #isPinned;
  #onJwks;
  /** When a fetched key set did not have the key, in milliseconds. */
  #missedAt = -Infinity;

  /**
   * @param {object} config
   * @param {import('./transport.js').Transport} config.transport
   * @param {Jwks} [config.jwks] the known keys
   * @param {boolean} [config.isPinned] whether no other keys are accepted
   * @param {(jwks: Jwks) => void} [config.onJwks] receives fetched keys
   */
  constructor({ transport, jwks, isPinned = false, onJwks }) {
    this.#transport = transport;
    this.#jwks = jwks;
    this.#isPinned = isPinned;
    this.#onJwks = onJwks;
  }

  /**
   * Verifies with the keys. If none of them signed, the deployment may have a new key: the set is then fetched once from the gateway
   * itself, authenticated only by TLS.
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
      const isEarly = this.#missedAt <= now && now - this.#missedAt < REFETCH_INTERVAL;
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
