/** Pauses between attempts, and while the page is hidden. */

/**
 * Waits before the next attempt: longer after each failure, about 15 s at most, with jitter.
 * @param {number} failures in a row, from 0
 * @param {AbortSignal} signal aborts the wait, which then throws its reason
 * @param {number} [least] minimum in milliseconds, such as the server's `Retry-After`
 * @returns {Promise<void>}
 */
export function backoff(failures, signal, least = 0) {
  return pause(Math.max(least, Math.min(15_000, 500 * 2 ** failures) * (0.5 + Math.random())), signal);
}

/**
 * Waits for a time.
 * @param {number} milliseconds
 * @param {AbortSignal} signal aborts the wait, which then throws its reason
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.throwIfAborted();
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', stop, { once: true });
  });
}

/**
 * Resolves when the page is visible, immediately if it already is.
 * @param {AbortSignal} signal aborts the wait, which then throws its reason
 * @returns {Promise<void>}
 */
export function untilSeen(signal) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener('visibilitychange', look);
      signal.removeEventListener('abort', look);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    document.addEventListener('visibilitychange', look);
    signal.addEventListener('abort', look);
    look();
  });
}
