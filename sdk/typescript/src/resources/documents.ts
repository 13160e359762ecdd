import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { DocumentType as TypeValue, IdentityDocumentService } from '../gen/nodkey/registry/v1/identity_documents_pb.js';
import { List } from '../pages.js';
import type { DocumentType, IdentityDocument } from '../types.js';

/** A document to register. */
export interface NewDocument {
  /** A device of the user, with an active binding. */
  readonly device: string;
  /** The app's hash of the document: 1 to 255 characters. */
  readonly hash: string;
  /** Its type. Default: the only one that there is. */
  readonly type?: DocumentType | undefined;
}

/** Which documents to list. */
export interface DocumentFilter {
  /** Only those that count. */
  readonly counting?: boolean | undefined;
  /** How many are fetched at a time: at most 500, 50 unless given. */
  readonly pageSize?: number | undefined;
}

/** Identity documents of users, for level 3. */
export class Documents {
  readonly #connection: Connection;
  readonly #service: Client<typeof IdentityDocumentService>;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(IdentityDocumentService);
  }

  /**
   * Makes a document of the user of a device count: from now on accepts that present it are level 3. First verify by other means that it is the
   * user's. The same hash again is the same document.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`, `DEVICE_RETIRED`, `DEVICE_NOT_BOUND`, `DEVICE_NOT_ACTIVE`.
   */
  async register(
    { device, hash, type = 'AAMVA_DRIVERS_LICENSE' }: NewDocument,
    options?: CallOptions,
  ): Promise<IdentityDocument> {
    const request = { deviceId: device, hash, type: TypeValue[type] };
    return convert.identityDocument(
      await this.#connection.call((rpc) => this.#service.registerIdentityDocument(request, rpc), options),
    );
  }

  /**
   * Returns a document.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async get(id: string, options?: CallOptions): Promise<IdentityDocument> {
    return convert.identityDocument(
      await this.#connection.call((rpc) => this.#service.getIdentityDocument({ id }, rpc), options),
    );
  }

  /** Lists the documents of a user, newest first. */
  list(
    user: string,
    { counting = false, pageSize = 0 }: DocumentFilter = {},
    options?: CallOptions,
  ): List<IdentityDocument> {
    const request = { userIdentifier: user, counting, pageSize };
    return new List(async (pageToken) => {
      const page = await this.#connection.call(
        (rpc) => this.#service.listIdentityDocuments({ ...request, pageToken }, rpc),
        options,
      );
      return { items: page.identityDocuments.map(convert.identityDocument), next: page.nextPageToken };
    });
  }
}
