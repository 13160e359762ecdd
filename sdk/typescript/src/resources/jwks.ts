import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { SigningKeyService } from '../gen/nodkey/registry/v1/signing_keys_pb.js';
import type { KeySource } from '../verify/index.js';
import type { Jwks } from '../verify/jwk.js';

/** The keys, and when they were asked for. */
interface Cache {
  readonly jwks: Promise<Jwks>;
  readonly at: number;
}

/** How old the cache may be, in milliseconds. */
const CACHED = 300_000;

/** The public keys of the deployment. Pass this object itself to what verifies: then a key that is new is looked up, once. */
export class SigningKeys implements KeySource {
  readonly #connection: Connection;
  readonly #service: Client<typeof SigningKeyService>;
  #cache: Cache | undefined;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(SigningKeyService);
  }

  /** Returns the keys whose signatures may still be valid: from a cache of five minutes at most, unless `fresh`. */
  async get({ fresh = false, signal }: CallOptions & { readonly fresh?: boolean | undefined } = {}): Promise<Jwks> {
    signal?.throwIfAborted();
    const now = this.#connection.environment.now();
    if (this.#cache === undefined || fresh || now - this.#cache.at >= CACHED) this.#cache = this.#fetch(now);
    // Whoever asks meanwhile gets the same: this signal ends the waiting of its caller, and not the call.
    return orAborted(this.#cache.jwks, signal);
  }

  /** Returns every key that ever signed evidence, for evidence of any age; those that were revoked are marked. Keep it with the evidence. */
  async archive(options?: CallOptions): Promise<Jwks> {
    return convert.jwks((await this.#connection.call((rpc) => this.#service.getJwksArchive({}, rpc), options)).jwks);
  }

  #fetch(at: number): Cache {
    const call = this.#connection.call((rpc) => this.#service.getJwks({}, rpc));
    const cache = { jwks: call.then((answer) => convert.jwks(answer.jwks)), at };
    cache.jwks.catch(() => {
      if (this.#cache === cache) this.#cache = undefined;
    });
    return cache;
  }
}

/** What a promise is settled with, or the reason of a signal that aborts before. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const done = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    const leave = () => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', leave, { once: true, signal: done.signal });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    done.abort();
  }
}
