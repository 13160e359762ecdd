/** A gRPC server in this process, on a real socket, whose methods a test writes; and a client of it, whose time and chance the test sets. */

import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { ConnectError, type Code, type ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../src/gen/google/rpc/error_details_pb.js';
import { TrusonaficationSchema, type Status } from '../../src/gen/nodkey/trusonafication/v1/trusonafications_pb.js';
import { Nodkey, type Environment } from '../../src/index.js';

/** A server that can stop, and start again at the same address. */
export class FakeServer {
  readonly #routes: (router: ConnectRouter) => void;
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  #server: http2.Http2Server | undefined;
  #port = 0;

  constructor(routes: (router: ConnectRouter) => void) {
    this.#routes = routes;
    after(() => this.stop());
  }

  get url(): string {
    return `http://127.0.0.1:${String(this.#port)}`;
  }

  async start(): Promise<this> {
    const server = http2.createServer({}, connectNodeAdapter({ routes: this.#routes, connect: false, grpcWeb: false }));
    server.on('session', (session) => {
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Asks every client to open another connection, as a server does that is about to stop. */
  goodbye(): void {
    for (const session of this.#sessions) session.goaway(http2.constants.NGHTTP2_NO_ERROR);
  }

  /** Breaks every connection, and takes no more. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    for (const session of this.#sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Time that passes only while somebody sleeps, and chance that is always the same. */
export class FakeEnvironment implements Environment {
  /** Milliseconds since 1970. */
  time = 1_790_000_000_000;
  /** What `random` returns. */
  chance = 0.5;
  /** How long each pause was, in order. */
  readonly pauses: number[] = [];
  #uuids = 0;

  now(): number {
    return this.time;
  }

  random(): number {
    return this.chance;
  }

  uuid(): string {
    this.#uuids += 1;
    return `request-${String(this.#uuids)}`;
  }

  /** Deadlines last forever; a test that wants one to end gives a time-out of 0. */
  sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    if (milliseconds >= 300_000) {
      return new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
    }
    signal?.throwIfAborted();
    this.pauses.push(milliseconds);
    this.time += milliseconds;
    // A turn of the event loop, in which sockets get theirs.
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** The token of a credential whose id is `credential`. */
export const TOKEN = `header.${Buffer.from('{"jti":"credential"}').toString('base64url')}.signature`;
/** Its secret. */
export const SECRET = 'the-secret-that-nothing-shows';

/** A client of a server. It is closed after the test. */
export function clientOf(server: { readonly url: string }, environment: Environment = new FakeEnvironment()): Nodkey {
  const nodkey = new Nodkey({ url: server.url, token: TOKEN, secret: SECRET, environment });
  after(() => {
    nodkey.close();
  });
  return nodkey;
}

/** What a server may say about an error. */
export interface Details {
  readonly reason?: string;
  readonly kind?: string;
  readonly retrySeconds?: number;
  readonly fields?: readonly { readonly field: string; readonly description: string }[];
}

/** An error as a server of ours gives it. */
export function refusal(code: Code, { reason, kind, retrySeconds, fields }: Details = {}): ConnectError {
  const details = [
    ...(reason === undefined
      ? []
      : [create(ErrorInfoSchema, { reason, domain: 'nodkey', metadata: kind ? { kind } : {} })]),
    ...(retrySeconds === undefined
      ? []
      : [create(RetryInfoSchema, { retryDelay: durationFromMs(retrySeconds * 1000) })]),
    ...(fields === undefined ? [] : [create(BadRequestSchema, { fieldViolations: [...fields] })]),
  ];
  const outgoing = details.map((value) => ({ desc: schemaOf(value.$typeName), value }));
  return new ConnectError('in words', code, undefined, outgoing);
}

function schemaOf(name: string) {
  const schema = [ErrorInfoSchema, RetryInfoSchema, BadRequestSchema].find(({ typeName }) => typeName === name);
  if (schema === undefined) throw new Error(name);
  return schema;
}

/** A trusonafication in some state. */
export function trusonafication(id: string, status: Status, version = 1n) {
  const time = { seconds: 1_790_000_000n, nanos: 0 };
  return create(TrusonaficationSchema, {
    id,
    status,
    version,
    desiredLevel: 2,
    createdAt: time,
    updatedAt: time,
    expiresAt: time,
  });
}
