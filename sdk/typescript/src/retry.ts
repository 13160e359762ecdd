/** When a call is repeated, and after which pause: sdk/spec/server.json. */

import { Code, ConnectError } from '@connectrpc/connect';

import type { Environment } from './environment.js';
import { infoOf, isBroken, pauseOf } from './status.js';

/** This caller calls too often. Other limits, such as how often a user is prompted, are the caller's business. */
const RATE = 'RATE_LIMITED';
/** How often a call is tried. */
export const ATTEMPTS = 3;
/** The pause after the first attempt is at most this many milliseconds, after each further one twice as many. */
const FIRST_PAUSE = 100;
/** The most that a pause grows to, in milliseconds. */
const MOST_PAUSE = 5_000;
/** A call is not repeated if the server wants a longer pause, in milliseconds. */
const LONGEST_PAUSE = 10_000;

/** How many milliseconds to pause after the n-th failure, from 1 on: full jitter. */
export function backoff(environment: Environment, failures: number): number {
  return environment.random() * Math.min(FIRST_PAUSE * 2 ** (failures - 1), MOST_PAUSE);
}

/** Whether the connection broke, or the server is away for now. */
export function isPassing(status: ConnectError): boolean {
  return status.code === Code.Unavailable || status.code === Code.DeadlineExceeded || isBroken(status);
}

/** The pause before the next attempt in milliseconds; `undefined`: there is none. */
export function pauseAfter(environment: Environment, status: ConnectError, attempt: number): number | undefined {
  const named = pauseOf(status);
  const repeats = isPassing(status) || (infoOf(status)?.reason === RATE && named !== undefined);
  if (!repeats || attempt >= ATTEMPTS || (named ?? 0) > LONGEST_PAUSE) return undefined;
  return named ?? backoff(environment, attempt);
}
