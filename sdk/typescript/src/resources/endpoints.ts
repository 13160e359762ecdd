import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { EndpointService, type CreateEndpointResponse } from '../gen/nodkey/notification/v1/endpoints_pb.js';
import { List } from '../pages.js';
import type { Delivery, Endpoint, EndpointWithSecret } from '../types.js';
import type { PageOptions } from './devices.js';

/** An endpoint to add. */
export interface NewEndpoint {
  /** An https URL of a public host, at most 2000 bytes. */
  readonly url: string;
  /** `trusonafication.accepted` and so on (docs/guides/webhooks.md). Default: all, also those of later releases. */
  readonly eventTypes?: readonly string[] | undefined;
  /** At most 128 characters. The same id and content within 24 hours has no second effect. Default: a new one for each call. */
  readonly requestId?: string | undefined;
}

/** What to change of an endpoint. */
export interface EndpointChanges {
  /** Its URL. */
  readonly url?: string | undefined;
  /** Its event types; empty: all. */
  readonly eventTypes?: readonly string[] | undefined;
  /** Whether anything is sent to it. */
  readonly enabled?: boolean | undefined;
}

/** How to rotate keys. */
export interface RotateOptions extends CallOptions {
  /** How many seconds the old keys also sign: 0 to 604 800. Default: a day. */
  readonly overlapSeconds?: number | undefined;
  /** At most 128 characters. The same id and content within 24 hours has no second effect. Default: a new one for each call. */
  readonly requestId?: string | undefined;
}

/** Webhook endpoints. */
export class Endpoints {
  readonly #connection: Connection;
  readonly #service: Client<typeof EndpointService>;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(EndpointService);
  }

  /**
   * Adds an endpoint. Only this answer has its secret.
   *
   * @throws {@link NodkeyError} `VALIDATION_FAILED`, `TOO_MANY_ENDPOINTS`.
   */
  async create({ url, eventTypes = [], requestId }: NewEndpoint, options?: CallOptions): Promise<EndpointWithSecret> {
    const request = { requestId: requestId ?? this.#connection.environment.uuid(), url, eventTypes: [...eventTypes] };
    return withSecret(await this.#connection.call((rpc) => this.#service.createEndpoint(request, rpc), options));
  }

  /**
   * Returns an endpoint.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async get(id: string, options?: CallOptions): Promise<Endpoint> {
    return convert.endpoint(await this.#connection.call((rpc) => this.#service.getEndpoint({ id }, rpc), options));
  }

  /** Lists endpoints, newest first. */
  list({ pageSize = 0 }: PageOptions = {}, options?: CallOptions): List<Endpoint> {
    return new List(async (pageToken) => {
      const page = await this.#connection.call(
        (rpc) => this.#service.listEndpoints({ pageSize, pageToken }, rpc),
        options,
      );
      return { items: page.endpoints.map(convert.endpoint), next: page.nextPageToken };
    });
  }

  /**
   * Changes what is given.
   *
   * @throws {@link NodkeyError} `VALIDATION_FAILED`, `NOT_FOUND`.
   */
  async update(id: string, { url, eventTypes, enabled }: EndpointChanges, options?: CallOptions): Promise<Endpoint> {
    const request = {
      id,
      ...(url !== undefined && { url }),
      ...(eventTypes && { eventTypes: { eventTypes: [...eventTypes] } }),
      ...(enabled !== undefined && { enabled }),
    };
    return convert.endpoint(await this.#connection.call((rpc) => this.#service.updateEndpoint(request, rpc), options));
  }

  /**
   * Gives an endpoint new keys. The old ones also sign for a while, so that receivers can switch over.
   *
   * @throws {@link NodkeyError} `TOO_MANY_KEYS`, `NOT_FOUND`.
   */
  async rotateKeys(
    id: string,
    { overlapSeconds, requestId, ...options }: RotateOptions = {},
  ): Promise<EndpointWithSecret> {
    const request = {
      requestId: requestId ?? this.#connection.environment.uuid(),
      id,
      ...(overlapSeconds !== undefined && { overlapSeconds }),
    };
    return withSecret(await this.#connection.call((rpc) => this.#service.rotateEndpointKeys(request, rpc), options));
  }

  /**
   * Sends an endpoint an `endpoint.test`.
   *
   * @throws {@link NodkeyError} `ENDPOINT_DISABLED`, `NOT_FOUND`.
   */
  async test(id: string, options?: CallOptions): Promise<Delivery> {
    return convert.delivery(await this.#connection.call((rpc) => this.#service.testEndpoint({ id }, rpc), options));
  }

  /** Removes an endpoint; what is under way to it is given up. An unknown one is no error. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.#connection.call((rpc) => this.#service.deleteEndpoint({ id }, rpc), options);
  }
}

function withSecret({ endpoint, secret }: CreateEndpointResponse): EndpointWithSecret {
  return { ...convert.endpoint(endpoint), secret };
}
