/** Whether anybody looks at the page. */

/**
 * Resolves when the page is seen, at once when it is already.
 * @param {AbortSignal} signal ends the wait, which then throws its reason
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
