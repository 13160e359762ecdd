import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import { TruCodeService } from '../gen/nodkey/trusonafication/v1/trucodes_pb.js';
import type { Pairing } from '../types.js';

/** Secure QR codes. Browsers create them (docs/guides/secure-qr.md); here is who scanned one. */
export class Codes {
  readonly #connection: Connection;
  readonly #service: Client<typeof TruCodeService>;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(TruCodeService);
  }

  /**
   * Returns which device scanned a code.
   *
   * @throws {@link NodkeyError} `NOT_FOUND` before one has.
   */
  async pairing(id: string, options?: CallOptions): Promise<Pairing> {
    const { id: code, identifier } = await this.#connection.call(
      (rpc) => this.#service.getPairing({ id }, rpc),
      options,
    );
    return { id: code, identifier };
  }
}
