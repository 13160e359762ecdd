/** Waiting for ends: those that wait share streams, whichever trusonafication each of them waits for. */

import { ConnectError, Code } from '@connectrpc/connect';

import { ErrorInfoSchema } from './gen/google/rpc/error_details_pb.js';
import type {
  Refusal,
  Trusonafication,
  WatchResultsResponse,
} from './gen/nodkey/trusonafication/v1/trusonafications_pb.js';
import { Queue } from './queue.js';

/** How many a server watches on one stream. */
const MOST = 1000;

/** Opens a stream: each id that is sent is answered once. */
export type OpenStream = (
  ids: AsyncIterable<{ id: string }>,
  signal: AbortSignal,
) => AsyncIterable<WatchResultsResponse>;

/** The streams of a client. */
export class Waits {
  readonly #open: OpenStream;
  readonly #streams = new Set<SharedStream>();

  constructor(open: OpenStream) {
    this.#open = open;
  }

  /** Returns a trusonafication once it has ended. Rejects with what the stream failed with, or this one was refused with. */
  wait(id: string, signal: AbortSignal): Promise<Trusonafication> {
    let stream = [...this.#streams].find((candidate) => candidate.isOpen);
    if (stream === undefined) {
      const added = new SharedStream(this.#open, () => this.#streams.delete(added));
      this.#streams.add(added);
      stream = added;
    }
    return stream.wait(id, signal);
  }
}

/** Takes what one waits for, or why it does not come. */
type Waiter = (settled: Trusonafication | ConnectError) => void;

/** One stream, for as long as somebody waits on it. */
class SharedStream {
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #ids = new Queue<{ id: string }>();
  readonly #abort = new AbortController();
  readonly #onEnd: () => void;
  /** What the server watches, that included for which nobody waits any more. */
  readonly #watched = new Set<string>();

  constructor(open: OpenStream, onEnd: () => void) {
    this.#onEnd = onEnd;
    void this.#read(open);
  }

  /** Whether one more can be watched on it. */
  get isOpen(): boolean {
    return !this.#ids.isEnded && this.#watched.size < MOST;
  }

  wait(id: string, signal: AbortSignal): Promise<Trusonafication> {
    const waiters = this.#waiters.get(id) ?? this.#add(id);
    return new Promise((resolve, reject) => {
      const leave = () => {
        waiters.delete(waiter);
        if (waiters.size === 0) this.#waiters.delete(id);
        // The server would go on watching for nobody.
        if (this.#waiters.size === 0) this.#end(true);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = (settled) => {
        signal.removeEventListener('abort', leave);
        if (settled instanceof ConnectError) reject(settled);
        else resolve(settled);
      };
      waiters.add(waiter);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  #add(id: string): Set<Waiter> {
    const waiters = new Set<Waiter>();
    this.#waiters.set(id, waiters);
    if (!this.#watched.has(id)) this.#ids.push({ id });
    this.#watched.add(id);
    return waiters;
  }

  async #read(open: OpenStream): Promise<void> {
    // Whoever opens it waits on it, before it can fail.
    await Promise.resolve();
    let failure = new ConnectError('the stream ended before the result came', Code.Unavailable);
    try {
      for await (const response of open(this.#ids, this.#abort.signal)) {
        this.#watched.delete(response.id);
        this.#settle(response);
        if (this.#waiters.size === 0) this.#end(this.#watched.size > 0);
      }
    } catch (error) {
      failure = ConnectError.from(error);
    }
    this.#end(false);
    for (const waiter of [...this.#waiters.values()].flatMap((waiters) => [...waiters])) waiter(failure);
    this.#waiters.clear();
  }

  #settle({ id, trusonafication, error }: WatchResultsResponse): void {
    const waiters = this.#waiters.get(id) ?? [];
    this.#waiters.delete(id);
    for (const waiter of waiters) waiter(trusonafication ?? refusal(error));
  }

  /** Takes no more. A stream on which everything was answered is ended by the server; otherwise it is aborted. */
  #end(aborts: boolean): void {
    this.#ids.end();
    this.#onEnd();
    if (aborts) this.#abort.abort();
  }
}

/** The status of a call that is refused in the same way. */
function refusal(error: Refusal | undefined): ConnectError {
  if (error === undefined) return new ConnectError('there is no such trusonafication', Code.NotFound);
  const status = new ConnectError(error.message, isCode(error.code) ? error.code : Code.Unknown);
  if (error.reason !== '')
    status.details.push({ desc: ErrorInfoSchema, value: { reason: error.reason, domain: 'nodkey' } });
  return status;
}

function isCode(code: number): code is Code {
  return code in Code;
}
