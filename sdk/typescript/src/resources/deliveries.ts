import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { DeliveryService, DeliveryState as StateValue } from '../gen/nodkey/notification/v1/deliveries_pb.js';
import { List } from '../pages.js';
import type { Delivery, DeliveryState } from '../types.js';

/** Which deliveries to list. */
export interface DeliveryFilter {
  /** Only those in this state. */
  readonly state?: DeliveryState | undefined;
  /** Only those about this trusonafication. */
  readonly trusonafication?: string | undefined;
  /** Only those to this endpoint. */
  readonly endpoint?: string | undefined;
  /** Only those about this object: `device/ID`. Not together with `trusonafication`. */
  readonly subject?: string | undefined;
  /** Only those created then or later. */
  readonly createdAfter?: Date | undefined;
  /** Only those created before. */
  readonly createdBefore?: Date | undefined;
  /** The oldest first instead of the newest. */
  readonly oldestFirst?: boolean | undefined;
  /** How many are fetched at a time: at most 500, 50 unless given. */
  readonly pageSize?: number | undefined;
}

/** Which deliveries to send again. */
export interface Redelivery {
  /** Those created then or later. */
  readonly since: Date;
  /** Those created before. Default: until now. */
  readonly until?: Date | undefined;
  /** Only those to this endpoint. */
  readonly endpoint?: string | undefined;
  /** Also those that succeeded: receivers get them twice. Default false. */
  readonly includeSucceeded?: boolean | undefined;
}

/** What was sent to endpoints, and what became of it. */
export class Deliveries {
  readonly #connection: Connection;
  readonly #service: Client<typeof DeliveryService>;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(DeliveryService);
  }

  /** Lists deliveries, newest first unless `oldestFirst`. */
  list(filter: DeliveryFilter = {}, options?: CallOptions): List<Delivery> {
    const {
      state,
      trusonafication,
      endpoint,
      subject,
      createdAfter,
      createdBefore,
      oldestFirst = false,
      pageSize = 0,
    } = filter;
    const request = {
      ...(state && { state: StateValue[state] }),
      trusonaficationId: trusonafication ?? '',
      endpointId: endpoint ?? '',
      subject: subject ?? '',
      ...(createdAfter && { createdAfter: convert.timestamp(createdAfter) }),
      ...(createdBefore && { createdBefore: convert.timestamp(createdBefore) }),
      oldestFirst,
      pageSize,
    };
    return new List(async (pageToken) => {
      const page = await this.#connection.call(
        (rpc) => this.#service.listDeliveries({ ...request, pageToken }, rpc),
        options,
      );
      return { items: page.deliveries.map(convert.delivery), next: page.nextPageToken };
    });
  }

  /**
   * Returns a delivery with its attempts.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async get(id: string, options?: CallOptions): Promise<Delivery> {
    return convert.delivery(await this.#connection.call((rpc) => this.#service.getDelivery({ id }, rpc), options));
  }

  /**
   * Sends a delivery again, with the same `webhook-id`.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async redeliver(id: string, options?: CallOptions): Promise<Delivery> {
    return convert.delivery(await this.#connection.call((rpc) => this.#service.redeliver({ id }, rpc), options));
  }

  /** Sends the exhausted deliveries of a time again. Returns how many. */
  async redeliverMany(
    { since, until, endpoint = '', includeSucceeded = false }: Redelivery,
    options?: CallOptions,
  ): Promise<number> {
    const request = {
      since: convert.timestamp(since),
      ...(until && { until: convert.timestamp(until) }),
      endpointId: endpoint,
      includeSucceeded,
    };
    const { count } = await this.#connection.call((rpc) => this.#service.redeliverMany(request, rpc), options);
    return Number(count);
  }
}
