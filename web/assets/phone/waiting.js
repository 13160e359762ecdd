/** Waiting for what a device is asked: as long as the page is seen, again and again, whatever the network does. */

import { backoff, untilSeen } from '../lib/pause.js';
import { Problem } from '../lib/problem.js';

/**
 * @typedef {object} Listener
 * @property {() => void} onConnected what there is to answer comes now, all of it, even if it came before
 * @property {(event: import('./protocol.js').PhoneEvent) => void} onEvent
 * @property {() => void} onLost the gateway cannot be reached; it is tried again
 * @property {() => void} onRefused the device may not be asked, for now; it is tried again
 * @property {() => void} onFrozen the user is frozen; it is tried again
 * @property {() => void} onGone the gateway does not know this device any more
 */

/** The gateway says something every 15 seconds, every 25 where it is polled; a connection that is silent for longer is dead. */
const SILENCE = 40_000;

/**
 * Waits until `signal` is aborted, or the device is gone.
 * @param {import('./protocol.js').Phone} phone
 * @param {import('./lanes.js').Lanes} lanes
 * @param {AbortSignal} signal
 * @param {Listener} listener
 */
export async function keepWaiting(phone, lanes, signal, listener) {
  for (let failures = 0; await isWanted(signal);) {
    const lane = await lanes.take();
    const hidden = new AbortController();
    const silent = new AbortController();
    const left = AbortSignal.any([signal, lane.over, hidden.signal]);
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
      // Whatever else ended the connection, it is made again.
    } finally {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onHidden);
      lane.leave();
    }
    if (left.aborted) continue;
    failures += 1;
    if (isFrozen) listener.onFrozen();
    else if (isRefused) listener.onRefused();
    // The first time it may be but a restart: that is nothing to trouble anybody with.
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
