/** Waits for requests to a device while the page is visible, and reconnects whenever the connection ends. */

import { backoff, untilSeen } from '../lib/pause.js';
import { Problem } from '../lib/problem.js';

/**
 * @typedef {object} Listener
 * @property {() => void} onConnected every pending request follows, including those that came before
 * @property {(event: import('./protocol.js').PhoneEvent) => void} onEvent
 * @property {() => void} onLost the gateway cannot be reached; retried
 * @property {() => void} onRefused the device is not active; retried
 * @property {() => void} onFrozen the user is frozen; retried
 * @property {() => void} onGone the gateway no longer knows this device
 */

/** The gateway sends something every 15 seconds, every 25 when polled. A connection that stays silent this long, in milliseconds, is dead. */
const SILENCE = 40_000;

/**
 * Waits until `signal` is aborted or the device is gone.
 * @param {import('./protocol.js').Phone} phone
 * @param {import('./connection_slots.js').ConnectionSlots} slots
 * @param {AbortSignal} signal
 * @param {Listener} listener
 */
export async function keepWaiting(phone, slots, signal, listener) {
  for (let failures = 0; await isWanted(signal);) {
    const slot = await slots.acquire();
    const hidden = new AbortController();
    const silent = new AbortController();
    const left = AbortSignal.any([signal, slot.revoked, hidden.signal]);
    const giveUp = () => silent.abort();
    let timer = setTimeout(giveUp, SILENCE);
    let isConnected = false;
    let isRefused = false;
    let isFrozen = false;
    let retryAfter = 0;
    const onAlive = () => {
      clearTimeout(timer);
      timer = setTimeout(giveUp, SILENCE);
      if (!isConnected) listener.onConnected();
      isConnected = true;
      failures = 0;
    };
    const onHidden = () => document.hidden && hidden.abort();
    document.addEventListener('visibilitychange', onHidden);
    try {
      const events = phone.events({ signal: AbortSignal.any([left, silent.signal]), onAlive });
      for await (const event of events) listener.onEvent(event);
    } catch (e) {
      if (isGone(e)) return listener.onGone();
      isRefused = e instanceof Problem && e.status === 403;
      isFrozen = e instanceof Problem && e.error === 'USER_FROZEN';
      if (e instanceof Problem) retryAfter = e.retryAfter;
      // Anything else that ended the connection is retried.
    } finally {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onHidden);
      slot.release();
    }
    if (left.aborted) continue;
    failures += 1;
    if (isFrozen) listener.onFrozen();
    else if (isRefused) listener.onRefused();
    // The first failure may be a restart, which the person need not see.
    else if (failures > 1) listener.onLost();
    await backoff(failures, signal, retryAfter).catch(() => {});
  }
}

/** @param {AbortSignal} signal */
function isWanted(signal) {
  return untilSeen(signal).then(
    () => true,
    () => false,
  );
}

/** @param {unknown} e */
function isGone(e) {
  return e instanceof Problem && (e.error === 'DEVICE_RETIRED' || e.error === 'INVALID_PROOF');
}
