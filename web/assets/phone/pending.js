/** What there is to answer: what the gateway lists, as far as it can be trusted (docs/protocol/mobile.md, section 5). */

import { shownFields, verifyChallenge } from '../lib/challenge.js';
import { Untrusted } from './errors.js';

/** @typedef {import('../lib/challenge.js').Challenge} Challenge */
/**
 * Something the person is asked, made by `Phone` alone and only from what it verified.
 * @typedef {object} Pending
 * @property {string} id
 * @property {Challenge} challenge what to show: this and nothing else, custom fields as `fields` has them
 * @property {[name: string, value: string][]} fields custom fields, numbers as the backend wrote them
 * @property {boolean} selfStarted whether the person began it themselves, by a code
 * @property {string} jws
 */
/**
 * `asked` comes again, the same, with each connection while it is open. `synced`: all that was open when the connection began has come,
 * and what is over since the one before was `closed`.
 * @typedef {{type: 'asked', pending: Pending} | {type: 'closed', id: string} | {type: 'untrusted', id: string, error: Untrusted} | {type: 'synced'}} PhoneEvent
 */

/**
 * Whether the person is to be shown this, and decides. Where not, accept it without a word: where presence is to be proven, the key's
 * store asks for that alone.
 * @param {Challenge} challenge
 */
export function isShown({ prompt, match }) {
  return prompt || Boolean(match);
}

/**
 * Whether accepting takes proof that the person is there.
 * @param {Challenge} challenge
 */
export function needsPresence({ presence, lvl }) {
  return presence || lvl >= 2;
}

/**
 * Which of two to show first: what the person began themselves, then the oldest.
 * @param {Pending} one
 * @param {Pending} other
 */
export function byTurn(one, other) {
  if (one.selfStarted !== other.selfStarted) return one.selfStarted ? -1 : 1;
  return one.challenge.iat - other.challenge.iat || (one.id < other.id ? -1 : 1);
}

/** Reads what the gateway lists, and remembers what it gave and did not say to be over. */
export class Reader {
  #gateway;
  #keys;
  #now;
  /** @type {Set<string>} */
  #shown = new Set();

  /**
   * @param {string} gateway the gateway's public URL
   * @param {import('./trust.js').KeySet} keys
   * @param {() => number} now
   */
  constructor(gateway, keys, now) {
    this.#gateway = gateway;
    this.#keys = keys;
    this.#now = now;
  }

  /** What was given and is not over. */
  get shown() {
    return this.#shown;
  }

  /**
   * Reads the events of a stream.
   * @param {AsyncIterable<import('../lib/sse.js').ServerEvent>} stream
   * @returns {AsyncGenerator<PhoneEvent, void>}
   */
  async *streamed(stream) {
    /** @type {Set<string>} */
    const heard = new Set();
    for await (const { event, data } of stream) {
      if (event === 'synced') {
        yield* this.whole(heard);
        yield { type: 'synced' };
        continue;
      }
      const listed = parse(data);
      if (typeof listed?.id !== 'string') continue;
      if (event === 'closed') {
        this.#shown.delete(listed.id);
        heard.delete(listed.id);
        yield { type: 'closed', id: listed.id };
      }
      const read = event === 'trusonafication' && (await this.one(listed));
      if (read) {
        heard.add(listed.id);
        yield read;
      }
    }
  }

  /**
   * Tells what is over: the list has these, and no others.
   * @param {Set<string>} ids
   * @returns {Generator<PhoneEvent, void>}
   */
  *whole(ids) {
    const gone = [...this.#shown].filter((id) => !ids.has(id));
    this.#shown = new Set(ids);
    for (const id of gone) yield { type: 'closed', id };
  }

  /**
   * Reads what is listed; nothing when it is over.
   * @param {{id: string, challenge?: unknown, self_started?: unknown}} listed
   * @returns {Promise<PhoneEvent | null>}
   */
  async one({ id, challenge: jws, self_started: selfStarted }) {
    try {
      if (typeof jws !== 'string') throw new Untrusted('MALFORMED');
      const challenge = await this.#check(id, jws);
      this.#shown.add(id);
      return {
        type: 'asked',
        pending: { id, challenge, fields: shownFields(jws), selfStarted: selfStarted === true, jws },
      };
    } catch (error) {
      if (!(error instanceof Untrusted)) throw error;
      // On its way: it is in the way of no other.
      if (error.reason === 'EXPIRED') return null;
      this.#shown.add(id);
      return { type: 'untrusted', id, error };
    }
  }

  /**
   * Section 5: nothing of a challenge is shown before all of this holds.
   * @param {string} id
   * @param {string} jws
   */
  async #check(id, jws) {
    const challenge = await this.#keys.verify((jwks) => verifyChallenge(jws, jwks));
    if (challenge.iss !== this.#gateway) throw new Untrusted('ISSUER');
    if (challenge.exp * 1000 <= this.#now()) throw new Untrusted('EXPIRED');
    if (challenge.jti !== id) throw new Untrusted('MISMATCH');
    return challenge;
  }
}

/**
 * @param {string} data
 * @returns {any}
 */
function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
