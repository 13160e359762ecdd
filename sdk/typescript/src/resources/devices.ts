import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { DeviceService } from '../gen/nodkey/registry/v1/devices_pb.js';
import { List } from '../pages.js';
import type { Device } from '../types.js';

/** How to list. */
export interface PageOptions {
  /** How many are fetched at a time: at most 500, 50 unless given. */
  readonly pageSize?: number | undefined;
}

/** Devices and their keys. */
export class Devices {
  readonly #connection: Connection;
  readonly #service: Client<typeof DeviceService>;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(DeviceService);
  }

  /**
   * Returns a device with its public keys.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async get(device: string, options?: CallOptions): Promise<Device> {
    return convert.device(
      await this.#connection.call((rpc) => this.#service.getDevice({ deviceId: device }, rpc), options),
    );
  }

  /** Lists devices, newest first, retired ones included. */
  list({ pageSize = 0 }: PageOptions = {}, options?: CallOptions): List<Device> {
    return new List(async (pageToken) => {
      const page = await this.#connection.call(
        (rpc) => this.#service.listDevices({ pageSize, pageToken }, rpc),
        options,
      );
      return { items: page.devices.map(convert.device), next: page.nextPageToken };
    });
  }

  /**
   * Makes presence keys count that were added after the device was registered. First make sure, by other means, that the device is still the
   * user's.
   *
   * @throws {@link NodkeyError} `NO_SUCH_PRESENCE_KEY`, `DEVICE_RETIRED`, `NOT_FOUND`.
   */
  async approveKeys(device: string, thumbprints: readonly string[], options?: CallOptions): Promise<Device> {
    const request = { deviceId: device, thumbprints: [...thumbprints] };
    return convert.device(await this.#connection.call((rpc) => this.#service.approveDeviceKeys(request, rpc), options));
  }

  /**
   * Retires a device, permanently: its keys count no more, from now on.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async retire(device: string, options?: CallOptions): Promise<Device> {
    return convert.device(
      await this.#connection.call((rpc) => this.#service.retireDevice({ deviceId: device }, rpc), options),
    );
  }
}
