/** Calls to the gateway, each with a DPoP proof (RFC 9449) that also covers the body (docs/protocol/mobile.md, section 2). */

import { pause } from '../lib/pause.js';
import { algorithm, b64u, sha256, signJws, utf8 } from '../lib/jose.js';
import { Problem, send } from '../lib/problem.js';

/** @typedef {import('../lib/jose.js').Bytes} Bytes */
/**
 * Keys that never leave the device. Signatures are raw: 64 bytes, `r || s` for ES256.
 * @typedef {object} KeyStore
 * @property {import('../lib/jose.js').PublicJwk} deviceKey
 * @property {(message: Bytes) => Promise<Bytes>} sign with the device key, without confirmation
 * @property {PresenceKey[]} presenceKeys the preferred one first; empty where the device cannot hold any
 */
/**
 * @typedef {object} PresenceKey
 * @property {'biometric' | 'credential'} kind how the person is verified: fingerprint or face; PIN or pattern
 * @property {import('../lib/jose.js').PublicJwk} jwk
 * @property {(message: Bytes, reason: string) => Promise<Bytes>} sign has the person confirm first, and shows them the reason
 */
/**
 * Injected time.
 * @typedef {object} Clock
 * @property {() => number} now milliseconds
 * @property {(milliseconds: number, signal?: AbortSignal) => Promise<void>} sleep
 */
/** @typedef {(bytes: number) => Bytes} Random */
/**
 * The parts of a call that a credential other than the device key signs.
 * @typedef {object} Signable
 * @property {string} method
 * @property {Bytes} body
 * @property {string} contentType
 * @property {string} date
 * @property {string} path
 */
/**
 * @typedef {object} CallOptions
 * @property {unknown} [body] sent as JSON
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {(signable: Signable) => Promise<string>} [authorize] makes the `Authorization` header; `X-Date` is then sent, too
 * @property {boolean} [once] whether a temporary failure is thrown immediately, for the caller to retry
 */

/** Clock skew above which we adopt the gateway's clock, in milliseconds: half of what the gateway tolerates. */
const MAX_SKEW = 30_000;
/** Attempts after temporary failures, and the first pause between them in milliseconds, approximately. Pauses double. */
const ATTEMPTS = 4;
const FIRST_PAUSE = 400;
/** The longest `Retry-After` that is waited for here, in milliseconds. Longer ones are the app's to handle and to show. */
const PATIENCE = 10_000;

/**
 * Creates the proof of a call.
 * @param {object} call
 * @param {KeyStore} call.keys
 * @param {string} call.method
 * @param {string} call.url without query or fragment
 * @param {Bytes} call.body empty if there is none
 * @param {number} call.now milliseconds
 * @param {Random} call.random
 */
export async function proof({ keys, method, url, body, now, random }) {
  const claims = {
    jti: b64u(random(16)),
    htm: method,
    htu: url,
    iat: Math.floor(now / 1000),
    bh: body.length ? await sha256(body) : undefined,
  };
  return signJws({ alg: algorithm(keys.deviceKey), typ: 'dpop+jwt', jwk: keys.deviceKey }, claims, keys.sign);
}

/** Sends calls with proofs to one gateway. */
export class Transport {
  #gateway;
  #origin;
  #keys;
  #clock;
  #fetch;
  #random;
  /** Correction of our clock, in milliseconds. */
  #offset = 0;

  /**
   * @param {object} config
   * @param {string} config.gateway the gateway's public URL, which proofs name
   * @param {string} config.origin where it is reachable
   * @param {KeyStore} config.keys
   * @param {Clock} [config.clock]
   * @param {typeof globalThis.fetch} [config.fetch]
   * @param {Random} [config.random]
   */
  constructor({ gateway, origin, keys, clock = systemClock, fetch, random = randomBytes }) {
    this.#gateway = gateway;
    this.#origin = origin;
    this.#keys = keys;
    this.#clock = clock;
    this.#fetch = fetch;
    this.#random = random;
  }

  /** The current time in milliseconds, by the gateway's clock if ours was found to be off. */
  now() {
    return this.#clock.now() + this.#offset;
  }

  /**
   * Sleeps.
   * @param {number} milliseconds
   * @param {AbortSignal} [signal] ends it, which then throws its reason
   */
  sleep(milliseconds, signal) {
    return this.#clock.sleep(milliseconds, signal);
  }

  /** A random value of 16 bytes. */
  token() {
    return b64u(this.#random(16));
  }

  /**
   * Fetches a public document from the gateway itself, bypassing caches.
   * @param {string} path
   */
  get(path) {
    return send(`${this.#origin}${path}`, { cache: 'reload' }, this.#fetch);
  }

  /**
   * Makes a call, and retries temporary failures with growing pauses: every call of the protocol is idempotent. A response other than
   * 2xx is thrown as a `Problem`.
   * @param {string} method
   * @param {string} path including the query, which the proof omits
   * @param {CallOptions} [options]
   */
  async send(method, path, options = {}) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#sendOnce(method, path, options);
      } catch (e) {
        if (!(e instanceof Problem) || attempt === ATTEMPTS) throw e;
        if (!this.#setClock(e)) {
          if (!e.isPassing || options.once || e.retryAfter > PATIENCE) throw e;
          const growing = FIRST_PAUSE * 2 ** (attempt - 1) * (0.5 + Math.random());
          await this.#clock.sleep(Math.max(e.retryAfter, growing), options.signal);
        }
      }
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} options
   */
  async #sendOnce(method, path, { body: value, headers: more, signal, authorize }) {
    const body = value === undefined ? new Uint8Array() : utf8(JSON.stringify(value));
    const contentType = body.length ? 'application/json' : '';
    const url = `${this.#gateway}${path.split('?', 1)[0]}`;
    const headers = new Headers(more);
    headers.set('dpop', await proof({ keys: this.#keys, method, url, body, now: this.now(), random: this.#random }));
    if (contentType) headers.set('content-type', contentType);
    if (authorize) {
      const date = new Date(this.now()).toUTCString();
      headers.set('x-date', date);
      headers.set('authorization', await authorize({ method, body, contentType, date, path }));
    }
    const init = { method, headers, signal, body: body.length ? body : undefined };
    return send(`${this.#origin}${path}`, init, this.#fetch);
  }

  /**
   * Adopts the gateway's clock if a proof was refused because ours is off. Returns whether it was.
   * @param {Problem} problem
   */
  #setClock({ error, headers }) {
    const date = Date.parse(headers.get('date') ?? '');
    if (error !== 'INVALID_PROOF' || !(Math.abs(date - this.now()) > MAX_SKEW)) return false;
    this.#offset = date - this.#clock.now();
    return true;
  }
}

/**
 * The system clock.
 * @type {Clock}
 */
const systemClock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal = new AbortController().signal) => pause(milliseconds, signal),
};

/** @type {Random} */
function randomBytes(length) {
  return crypto.getRandomValues(new Uint8Array(length));
}
