/**
 * Limits how many accounts wait for requests at the same time. Over HTTP/1.1 a browser opens six connections to a server, shared by all
 * of its pages: accounts that waited on all of them would leave none to answer with.
 */

/** How long a holder keeps a slot that others wait for, in milliseconds. */
const TURN = 10_000;
const SLOTS_HTTP1 = 3;
const SLOTS_HTTP2 = 50;

/** A limited number of slots. When more callers want one than there are, they take turns. */
export class ConnectionSlots {
  /** @type {Set<AbortController>} */
  #held = new Set();
  /** @type {(() => void)[]} */
  #queue = [];
  #count;

  /** @param {number} [count] */
  constructor(count = defaultCount()) {
    this.#count = count;
  }

  /** Resolves to a slot once one is free. Release it when `revoked` is aborted: others wait for it. */
  async acquire() {
    while (this.#held.size >= this.#count) {
      await new Promise((/** @type {(value?: undefined) => void} */ resolve) => this.#queue.push(resolve));
    }
    const turn = new AbortController();
    this.#held.add(turn);
    const timer = setInterval(() => this.#queue.length > 0 && turn.abort(), TURN);
    const release = () => {
      clearInterval(timer);
      this.#held.delete(turn);
      this.#queue.shift()?.();
    };
    return { revoked: turn.signal, release };
  }
}

function defaultCount() {
  const [page] = performance.getEntriesByType('navigation');
  return /** @type {PerformanceNavigationTiming | undefined} */ (page)?.nextHopProtocol === 'http/1.1'
    ? SLOTS_HTTP1
    : SLOTS_HTTP2;
}
