import type { Environment } from './environment.js';
import { NodkeyError } from './error.js';

/** The longest time that timers can take, in milliseconds: 24 days. */
const MOST = 2 ** 31 - 1;

/** A signal that aborts after a time, or with another signal. Call `end` when it is not needed any more. */
export class Deadline {
  readonly signal: AbortSignal;
  readonly #over = new AbortController();
  readonly #ended = new AbortController();

  constructor(environment: Environment, timeout: number, signal: AbortSignal | undefined) {
    if (!(timeout >= 0)) throw NodkeyError.client('INVALID_PARAMETER', '`timeout` must be a number of milliseconds');
    this.signal = AbortSignal.any([this.#over.signal, this.#ended.signal, ...(signal === undefined ? [] : [signal])]);
    const over = () => {
      this.#over.abort(NodkeyError.client('DEADLINE_EXCEEDED', `it did not end within ${String(timeout / 1000)} s`));
    };
    environment.sleep(Math.min(timeout, MOST), this.#ended.signal).then(over, () => undefined);
  }

  /** Aborts what still goes on with the signal, and the timer. */
  end(): void {
    this.#ended.abort();
  }
}
