/**
 * How many accounts wait at once. Over HTTP/1.1 a browser opens six connections to a server, for all of its pages: accounts
 * that waited on all of them would leave none to answer with.
 */

/** How long who waits may keep a lane that others want, in milliseconds. */
const TURN = 10_000;
const LANES_HTTP1 = 3;
const LANES_HTTP2 = 50;

/** Lanes to wait in; when there are more who wait, they take turns. */
export class Lanes {
  /** @type {Set<AbortController>} */
  #held = new Set();
  /** @type {(() => void)[]} */
  #wanted = [];
  #count;

  /** @param {number} [count] */
  constructor(count = lanesHere()) {
    this.#count = count;
  }

  /** Takes a lane once there is one. Leave it when `over` is aborted: others want it. */
  async take() {
    while (this.#held.size >= this.#count) {
      await new Promise((/** @type {(value?: undefined) => void} */ resolve) => this.#wanted.push(resolve));
    }
    const turn = new AbortController();
    this.#held.add(turn);
    const timer = setInterval(() => this.#wanted.length > 0 && turn.abort(), TURN);
    const leave = () => {
      clearInterval(timer);
      this.#held.delete(turn);
      this.#wanted.shift()?.();
    };
    return { over: turn.signal, leave };
  }
}

function lanesHere() {
  const [page] = performance.getEntriesByType('navigation');
  return /** @type {PerformanceNavigationTiming | undefined} */ (page)?.nextHopProtocol === 'http/1.1'
    ? LANES_HTTP1
    : LANES_HTTP2;
}
