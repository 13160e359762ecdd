import { Code } from '@connectrpc/connect';

import type { Connection } from './connection.js';
import { backoff, isPassing } from './retry.js';
import { errorOf, pauseOf } from './status.js';

/** A stream that lasted so many milliseconds began well: a failure after it is the first. */
const LASTED = 60_000;

/** When a stream that broke is opened again: after a growing pause, for as long as the failures pass. */
export class Reconnects {
  readonly #connection: Connection;
  #failures = 0;
  #began = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** A stream is opened. */
  begin(): void {
    this.#began = this.#connection.environment.now();
  }

  /** The stream failed. Pauses, or throws if it is no use to open it again. */
  async pause(error: unknown, signal: AbortSignal): Promise<void> {
    const { environment } = this.#connection;
    const status = this.#connection.statusOf(error);
    // What is exhausted refills, and whoever waits does not take it from others.
    if (!isPassing(status) && status.code !== Code.ResourceExhausted) throw errorOf(status);
    this.#failures = environment.now() - this.#began >= LASTED ? 1 : this.#failures + 1;
    await environment.sleep(pauseOf(status) ?? backoff(environment, this.#failures), signal);
  }
}
