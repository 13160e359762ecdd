/** Keeps a fresh code on screen: the next one appears before the last expires, and until then either can be scanned. */

import { backoff, pause, untilSeen } from '../../../web/assets/lib/pause.js';

/** @typedef {import('./gateway.js').Code} Code */
/** @typedef {import('./gateway.js').Gateway} Gateway */
/** @typedef {import('./problem.js').CodeError} CodeError */

/** How long before a code expires it is replaced, in milliseconds: time to finish a scan. */
const OVERLAP = 10_000;
/** How long a code is shown at least, in milliseconds, whatever the gateway says of it. */
const LEAST = 5000;
/** A call that has not failed for this long is one that the gateway holds, in milliseconds. */
const HELD = 3000;

/**
 * Offers codes while the page is visible, until one is paired.
 * @param {Pick<Gateway, 'create' | 'paired' | 'explain'>} gateway
 * @param {AbortSignal} signal
 * @param {object} on
 * @param {(code: Code) => void} on.code when there is a new one
 * @param {(error: CodeError | null) => void} on.trouble when calls fail and are made again, and null when they succeed
 * @returns {Promise<Code>} the one that is paired
 */
export async function offerCodes(gateway, signal, on) {
  const done = new AbortController();
  const ending = AbortSignal.any([signal, done.signal]);
  /** @type {Insist} */
  const insist = (make, isHeld) => insistOn(gateway, make, ending, isHeld, on.trouble);
  try {
    return await new Promise((resolve, reject) => {
      const watch = async (/** @type {Code} */ code) => {
        if (await untilPaired(gateway, code, ending, insist)) resolve(code);
      };
      const offer = async () => {
        for (;;) {
          await untilSeen(ending);
          const code = await insist((until) => gateway.create(until), false);
          on.code(code);
          const watched = watch(code);
          watched.catch(reject);
          const isDue = Promise.race([pause(code.lifetime.left - OVERLAP, ending), watched]);
          await Promise.all([isDue, pause(LEAST, ending)]);
        }
      };
      offer().catch(reject);
    });
  } finally {
    done.abort();
  }
}

/**
 * Makes a call until it is answered. Of one that the gateway holds, the first failure is not reported: connections that are held break.
 * @typedef {<T>(make: (signal: AbortSignal) => Promise<T>, isHeld: boolean) => Promise<T>} Insist
 */

/**
 * Waits until a code is paired or over. A gateway that stops answers before either, and the next one is asked.
 * @param {Pick<Gateway, 'paired'>} gateway
 * @param {Code} code
 * @param {AbortSignal} signal
 * @param {Insist} insist
 */
async function untilPaired(gateway, code, signal, insist) {
  for (let looks = 0; ; looks += 1) {
    const isPaired = await insist((until) => gateway.paired(code.id, until), true).catch((error) => {
      if (error.status === 404) return null;
      throw error;
    });
    if (isPaired || isPaired === null || code.lifetime.left <= 0) return isPaired;
    await backoff(looks, signal);
  }
}

/**
 * @template T
 * @param {Pick<Gateway, 'explain'>} gateway
 * @param {(signal: AbortSignal) => Promise<T>} make
 * @param {AbortSignal} signal
 * @param {boolean} isHeld
 * @param {(error: CodeError | null) => void} report
 * @returns {Promise<T>}
 */
async function insistOn(gateway, make, signal, isHeld, report) {
  const quiet = isHeld ? 1 : 0;
  for (let failures = 0; ; failures += 1) {
    const recovered = isHeld && failures > quiet ? setTimeout(report, HELD, null) : undefined;
    try {
      const made = await make(signal).finally(() => clearTimeout(recovered));
      if (failures > quiet) report(null);
      return made;
    } catch (cause) {
      signal.throwIfAborted();
      const error = await gateway.explain(cause);
      signal.throwIfAborted();
      if (!error.isPassing) throw error;
      if (failures >= quiet) report(error);
      await untilWorthwhile(failures, signal, error.retryAfter);
    }
  }
}

/**
 * Waits before the next attempt, or until the browser is online again.
 * @param {number} failures
 * @param {AbortSignal} signal
 * @param {number} least milliseconds
 */
async function untilWorthwhile(failures, signal, least) {
  const online = new AbortController();
  const stop = () => online.abort();
  addEventListener('online', stop, { once: true, signal });
  try {
    await backoff(failures, AbortSignal.any([signal, online.signal]), least);
  } catch (cause) {
    if (!online.signal.aborted) throw cause;
  } finally {
    removeEventListener('online', stop);
  }
}
