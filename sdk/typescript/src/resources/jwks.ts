import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { SigningKeyService } from '../gen/nodkey/registry/v1/signing_keys_pb.js';
import type { KeySource } from '../verify/index.js';
import type { Jwks } from '../verify/jwk.js';

/** How old the cache may be, in milliseconds. */
const CACHED = 300_000;

/** The public keys of the deployment. Pass this object itself to what verifies: then a key that is new is looked up, once. */
export class SigningKeys implements KeySource {
  readonly #connection: Connection;
  readonly #service: Client<typeof SigningKeyService>;
  #cache: { readonly jwks: Promise<Jwks>; readonly at: number } | undefined;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(SigningKeyService);
  }

  /** Returns the keys whose signatures may still be valid: from a cache of five minutes at most, unless `fresh`. */
  async get({ fresh = false, signal }: CallOptions & { readonly fresh?: boolean | undefined } = {}): Promise<Jwks> {
    signal?.throwIfAborted();
    const now = this.#connection.environment.now();
    const cache = this.#cache;
    if (cache !== undefined && !fresh && now - cache.at < CACHED) return cache.jwks;
    // Whoever asks meanwhile gets the same. The call of another is not to be cancelled by this signal, which is not passed on.
    const jwks = this.#connection
      .call((rpc) => this.#service.getJwks({}, rpc))
      .then((answer) => convert.jwks(answer.jwks));
    const entry = { jwks, at: now };
    this.#cache = entry;
    try {
      return await jwks;
    } catch (error) {
      if (this.#cache === entry) this.#cache = undefined;
      throw error;
    }
  }

  /** Returns every key that ever signed evidence, for evidence of any age; those that were revoked are marked. Keep it with the evidence. */
  async archive(options?: CallOptions): Promise<Jwks> {
    return convert.jwks((await this.#connection.call((rpc) => this.#service.getJwksArchive({}, rpc), options)).jwks);
  }
}
