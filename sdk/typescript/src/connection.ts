import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';

import type { DescService } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createClient,
  type CallOptions as RpcOptions,
  type Client,
  type Transport,
} from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';

import type { CallOptions } from './call-options.js';
import { checkRequest } from './check-request.js';
import type { Credential } from './credential.js';
import type { Environment } from './environment.js';
import { NodkeyError } from './error.js';
import { pauseAfter } from './retry.js';
import { Sessions } from './sessions.js';
import { errorOf } from './status.js';

/** Milliseconds that an attempt may take. */
const ATTEMPT = 10_000;
/** Milliseconds that connecting may take. */
const CONNECT = 5_000;
/** Milliseconds without a sign of life after which the server is asked for one, and that it has for it. */
const PING = 30_000;
const PONG = 5_000;
/** The largest message that is read, in bytes: a page of large custom fields. */
const MAX_MESSAGE = 128 << 20;

/** How the library calls it when a connection breaks or is not made. */
const BROKEN = [Code.Unavailable, Code.Canceled, Code.Aborted, Code.Unknown, Code.Internal];

/** One connection to a deployment. It is opened by the first call, and again when it is lost. */
export class Connection {
  readonly environment: Environment;
  readonly #credential: Credential;
  readonly #sessions: Sessions;
  readonly #transport: Transport;
  readonly #url: string;
  #isClosed = false;

  constructor(url: URL, ca: string | undefined, credential: Credential, environment: Environment) {
    this.environment = environment;
    this.#credential = credential;
    this.#url = url.origin;
    const pings = { pingIntervalMs: PING, pingTimeoutMs: PONG };
    this.#sessions = new Sessions(url, pings, { createConnection: (authority) => open(authority, ca) });
    // Compressed messages are refused by gateways, and need not be offered.
    const limits = { acceptCompression: [], readMaxBytes: MAX_MESSAGE, interceptors: [checkRequest] };
    this.#transport = createGrpcTransport({ ...limits, baseUrl: url.origin, sessionManager: this.#sessions });
  }

  /** A client of one service. Pass its methods to {@link call} or {@link stream}. */
  client<S extends DescService>(service: S): Client<S> {
    return createClient(service, this.#transport);
  }

  /**
   * Makes a call, again after failures that pass. Every call may be repeated: reads by nature, creates by their request id, the others because
   * they are idempotent. A new token is signed for each attempt.
   */
  async call<T>(send: (options: RpcOptions) => Promise<T>, { signal }: CallOptions = {}): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      signal?.throwIfAborted();
      try {
        return await send(this.attempt(signal));
      } catch (error) {
        signal?.throwIfAborted();
        const status = this.statusOf(error);
        const pause = pauseAfter(this.environment, status, attempt);
        if (pause === undefined) throw errorOf(status);
        await this.environment.sleep(pause, signal);
      }
    }
  }

  /** The options of one attempt of a call. */
  attempt(signal: AbortSignal | undefined): RpcOptions {
    return { ...this.stream(signal), timeoutMs: ATTEMPT };
  }

  /** The options of a call that is a stream: without a deadline. */
  stream(signal: AbortSignal | undefined): RpcOptions {
    if (this.#isClosed) throw closed();
    const headers = { authorization: `Bearer ${this.#credential.sign(this.environment.now())}` };
    return { headers, ...(signal && { signal }) };
  }

  /** What a call failed with. What is not about the call is thrown on. */
  statusOf(error: unknown): ConnectError {
    if (!(error instanceof ConnectError)) throw error;
    const { cause } = error;
    if (cause instanceof NodkeyError) throw cause;
    if (this.#isClosed) throw closed();
    const isOfServer = [...error.metadata.keys()].length > 0;
    if (isOfServer || !BROKEN.includes(error.code)) return error;
    // Of the network: the library's text is that of Node.js, or none, and does not say where.
    const text = cause instanceof Error ? describe(cause) : error.rawMessage;
    return new ConnectError(`cannot reach ${this.#url}: ${text}`, Code.Unavailable, undefined, undefined, cause);
  }

  /** Ends the connection and what is under way, for good. */
  close(): void {
    this.#isClosed = true;
    this.#sessions.abort();
  }
}

function closed(): NodkeyError {
  return NodkeyError.client('CANCELLED', 'the client was closed');
}

/** Opens a connection in time. The library would wait for as long as the operating system tries. */
function open(authority: URL, ca: string | undefined): ReturnType<typeof connectPlain> {
  const isTls = authority.protocol === 'https:';
  const host = authority.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(authority.port || (isTls ? 443 : 80));
  const name = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
  const socket = isTls
    ? connectTls({ host, port, ALPNProtocols: ['h2'], ...name, ...(ca !== undefined && { ca }) })
    : connectPlain({ host, port });
  const timer = setTimeout(
    () => socket.destroy(Object.assign(new Error('connecting took too long'), { code: 'ETIMEDOUT' })),
    CONNECT,
  );
  const opened = () => {
    clearTimeout(timer);
  };
  socket.once(isTls ? 'secureConnect' : 'connect', opened).once('close', opened);
  return socket.setNoDelay(true);
}

function describe(cause: Error): string {
  // All addresses of a name failed: what the first said.
  const [first] = cause instanceof AggregateError ? (cause.errors as unknown[]) : [];
  return (
    (first instanceof Error ? first.message : cause.message) || ('code' in cause ? String(cause.code) : cause.name)
  );
}
