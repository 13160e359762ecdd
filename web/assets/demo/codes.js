/** Keeps a fresh code on screen: the next one appears before the last expires, and until then either can be scanned. */

import { pause, untilSeen } from '../lib/pause.js';
import { createCode, untilPaired } from './api.js';

/** How long before a code expires it is replaced, in milliseconds: time to finish a scan. */
const OVERLAP = 10_000;

/**
 * Offers codes while the page is visible, until one is paired.
 * @param {string} relyingPartyId
 * @param {AbortSignal} signal
 * @param {(code: import('./api.js').Code, freshUntil: number) => void} onCode
 * @returns {Promise<string>} the id of the code that is paired
 */
export async function offerCodes(relyingPartyId, signal, onCode) {
  const done = new AbortController();
  const ending = AbortSignal.any([signal, done.signal]);
  try {
    return await new Promise((resolve, reject) => {
      const watch = async (/** @type {string} */ id) => {
        if (await untilPaired(id, ending)) resolve(id);
      };
      const offer = async () => {
        for (;;) {
          await untilSeen(ending);
          const code = await createCode(relyingPartyId, ending);
          const freshUntil = code.expiresAt - OVERLAP;
          onCode(code, freshUntil);
          watch(code.id).catch(reject);
          await pause(freshUntil - Date.now(), ending);
        }
      };
      offer().catch(reject);
    });
  } finally {
    done.abort();
  }
}
