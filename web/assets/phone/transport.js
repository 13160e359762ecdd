/** Calls to the gateway, each with its proof (docs/protocol/mobile.md, section 2): DPoP (RFC 9449) with a hash of the body. */

import { pause } from '../lib/pause.js';
import { algorithm, b64u, sha256, signJws, utf8 } from '../lib/jose.js';
import { Problem, send } from '../lib/problem.js';

/** @typedef {import('../lib/jose.js').Bytes} Bytes */
/**
 * Keys that never leave the device. Signatures are raw: 64 bytes, `r || s` for ES256.
 * @typedef {object} KeyStore
 * @property {import('../lib/jose.js').PublicJwk} deviceKey
 * @property {(message: Bytes) => Promise<Bytes>} sign with the device key, asking nobody
 * @property {PresenceKey[]} presenceKeys the preferred one first; empty where the device cannot hold any
 */
/**
 * @typedef {object} PresenceKey
 * @property {'biometric' | 'credential'} kind how the person is checked: fingerprint or face; PIN or pattern
 * @property {import('../lib/jose.js').PublicJwk} jwk
 * @property {(message: Bytes, reason: string) => Promise<Bytes>} sign asks the person first, saying what for
 */
/**
 * Time, handed in.
 * @typedef {object} Clock
 * @property {() => number} now milliseconds
 * @property {(milliseconds: number, signal?: AbortSignal) => Promise<void>} sleep
 */
/** @typedef {(bytes: number) => Bytes} Random */
/**
 * What a call is signed over by another than the device key.
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
 * @property {(signable: Signable) => Promise<string>} [authorize] makes the `Authorization`; `X-Date` is then sent, too
 * @property {boolean} [once] whether a call that fails in passing is thrown at once, for the caller to make again
 */

/** How far our clock may be off before we set it by the gateway's, in milliseconds: half of what is let through. */
const MAX_SKEW = 30_000;
/** How often a call is made that fails in passing, and the first pause, about; it doubles. In milliseconds, as all of these. */
const ATTEMPTS = 4;
const FIRST_PAUSE = 400;
/** What the gateway may want to be left alone for before it is the app's to wait, and to tell the person. */
const PATIENCE = 10_000;

/**
 * Makes a proof of a call.
 * @param {object} call
 * @param {KeyStore} call.keys
 * @param {string} call.method
 * @param {string} call.url without query and fragment
 * @param {Bytes} call.body empty when there is none
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

/** Sends proven calls to one gateway. */
export class Transport {
  #gateway;
  #origin;
  #keys;
  #clock;
  #fetch;
  #random;
  /** What to add to our clock, in milliseconds. */
  #offset = 0;

  /**
   * @param {object} config
   * @param {string} config.gateway the gateway's public URL, which proofs are made for
   * @param {string} config.origin where it is reached
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

  /** Milliseconds, by the gateway's clock where ours was found to be off. */
  now() {
    return this.#clock.now() + this.#offset;
  }

  /**
   * Lets time pass.
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
   * Fetches a public document from the gateway itself, whatever caches on the way hold.
   * @param {string} path
   */
  get(path) {
    return send(`${this.#origin}${path}`, { cache: 'reload' }, this.#fetch);
  }

  /**
   * Makes a call, again with growing pauses when it fails in passing: every call of the protocol may be repeated. What is
   * not 2xx is thrown as a `Problem`.
   * @param {string} method
   * @param {string} path with its query, which the proof leaves out
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
   * Sets the clock by a refused proof's answer, when that is why it was refused. Tells whether it was.
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
 * The device's own clock.
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
