/** Pending requests: those that the gateway lists and that verify (docs/protocol/mobile.md, section 5). */

import { shownFields, verifyChallenge } from '../lib/challenge.js';
import { Untrusted } from './errors.js';

/** @typedef {import('../lib/challenge.js').Challenge} Challenge */
/**
 * A request to the person. Only `Phone` makes it, and only from what it has verified.
 * @typedef {object} Pending
 * @property {string} id
 * @property {Challenge} challenge what to show, and nothing else; custom fields come from `fields`
 * @property {[name: string, value: string][]} fields custom fields, with numbers as the backend wrote them
 * @property {boolean} selfStarted whether the person started it themselves, with a code
 * @property {string} jws
 */
/**
 * `prompt` is repeated on each connection while the request is open. `synced`: everything that was open when the connection began has
 * been sent, and whatever ended since the previous connection was `closed`.
 * @typedef {{type: 'prompt', pending: Pending} | {type: 'closed', id: string} | {type: 'untrusted', id: string, error: Untrusted} | {type: 'synced'}} PhoneEvent
 */

/**
 * Whether to show this request and let the person decide. If not, accept it silently: where presence is required, the key's store has the
 * person confirm that alone.
 * @param {Challenge} challenge
 */
export function isShown({ prompt, match }) {
  return prompt || Boolean(match);
}

/**
 * Whether accepting requires proof of presence.
 * @param {Challenge} challenge
 */
export function needsPresence({ presence, lvl }) {
  return presence || lvl >= 2;
}

/**
 * Orders requests for display: first those that the person started themselves, then the oldest.
 * @param {Pending} one
 * @param {Pending} other
 */
export function byTurn(one, other) {
  if (one.selfStarted !== other.selfStarted) return one.selfStarted ? -1 : 1;
  return one.challenge.iat - other.challenge.iat || (one.id < other.id ? -1 : 1);
}

/** Reads what the gateway lists, and remembers which requests it has yielded that have not ended. */
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

  /** Ids of requests that were yielded and have not ended. */
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
    const listedIds = new Set();
    for await (const { event, data } of stream) {
      if (event === 'synced') {
        yield* this.retainOnly(listedIds);
        yield { type: 'synced' };
        continue;
      }
      const listed = parse(data);
      if (typeof listed?.id !== 'string') continue;
      if (event === 'closed') {
        this.#shown.delete(listed.id);
        listedIds.delete(listed.id);
        yield { type: 'closed', id: listed.id };
      }
      const read = event === 'trusonafication' && (await this.one(listed));
      if (read) {
        listedIds.add(listed.id);
        yield read;
      }
    }
  }

  /**
   * Yields what has ended, given the ids of all open requests.
   * @param {Set<string>} ids
   * @returns {Generator<PhoneEvent, void>}
   */
  *retainOnly(ids) {
    const gone = [...this.#shown].filter((id) => !ids.has(id));
    this.#shown = new Set(ids);
    for (const id of gone) yield { type: 'closed', id };
  }

  /**
   * Reads one listed request; null when it has expired.
   * @param {{id: string, challenge?: unknown, self_started?: unknown}} listed
   * @returns {Promise<PhoneEvent | null>}
   */
  async one({ id, challenge: jws, self_started: selfStarted }) {
    try {
      if (typeof jws !== 'string') throw new Untrusted('MALFORMED');
      const challenge = await this.#check(id, jws);
      this.#shown.add(id);
      return {
        type: 'prompt',
        pending: { id, challenge, fields: shownFields(jws), selfStarted: selfStarted === true, jws },
      };
    } catch (error) {
      if (!(error instanceof Untrusted)) throw error;
      // It expired on its way, and blocks no other request.
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
