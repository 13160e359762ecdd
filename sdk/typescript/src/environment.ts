import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/** Time and randomness, as parameters, so that tests can set them. */
export interface Environment {
  /** The time in milliseconds since 1970. */
  now(): number;
  /** A random number from 0 up to and without 1. */
  random(): number;
  /** A new UUID: a request id. */
  uuid(): string;
  /** Resolves after so many milliseconds. Rejects with the signal's reason when that aborts. */
  sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void>;
}

/** The system's. */
export const SYSTEM: Environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  uuid: () => randomUUID(),
  async sleep(milliseconds, signal) {
    try {
      await sleep(milliseconds, undefined, { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  },
};
