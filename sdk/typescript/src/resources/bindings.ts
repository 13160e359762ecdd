import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { BindingService, BindingState as StateValue } from '../gen/nodkey/binding/v1/bindings_pb.js';
import { List } from '../pages.js';
import type { Binding, BindingState } from '../types.js';

/** A device and the user to bind it to. */
export interface NewBinding {
  /** The user, as you name them: 1 to 255 characters, case-sensitive. */
  readonly user: string;
  /** The device identifier that your app hands over; verify it with `verifyDeviceIdentifier` first. */
  readonly device: string;
  /** At most 128 characters. The same id and content within 24 hours has no second effect. Default: a new one for each call. */
  readonly requestId?: string | undefined;
}

/** Which bindings to list. */
export interface BindingFilter {
  /** Only those of this user. */
  readonly user?: string | undefined;
  /** Only those in this state. */
  readonly state?: BindingState | undefined;
  /** How many are fetched at a time: at most 500, 50 unless given. */
  readonly pageSize?: number | undefined;
}

/** Which device is which user's. */
export class Bindings {
  readonly #connection: Connection;
  readonly #service: Client<typeof BindingService>;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(BindingService);
  }

  /**
   * Binds a device to a user, inactive. The id of the binding is its activation code.
   *
   * @throws {@link NodkeyError} `DEVICE_NOT_FOUND`, `DEVICE_ALREADY_BOUND`, `TOO_MANY_DEVICES`.
   */
  async create({ user, device, requestId }: NewBinding, options?: CallOptions): Promise<Binding> {
    const request = {
      requestId: requestId ?? this.#connection.environment.uuid(),
      userIdentifier: user,
      deviceIdentifier: device,
    };
    return convert.binding(await this.#connection.call((rpc) => this.#service.createBinding(request, rpc), options));
  }

  /**
   * Activates a binding: from now on the device can respond for the user. First make sure, by your own means, that whoever holds the phone is that
   * user: this decides who can sign in.
   *
   * @throws {@link NodkeyError} `BINDING_DEACTIVATED`, `NOT_FOUND`.
   */
  async activate(id: string, options?: CallOptions): Promise<Binding> {
    return convert.binding(await this.#connection.call((rpc) => this.#service.activateBinding({ id }, rpc), options));
  }

  /**
   * Ends a binding, permanently.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async deactivate(id: string, options?: CallOptions): Promise<Binding> {
    return convert.binding(await this.#connection.call((rpc) => this.#service.deactivateBinding({ id }, rpc), options));
  }

  /**
   * Returns a binding.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async get(id: string, options?: CallOptions): Promise<Binding> {
    return convert.binding(await this.#connection.call((rpc) => this.#service.getBinding({ id }, rpc), options));
  }

  /**
   * Returns the binding of a device that has not ended: whose device it is.
   *
   * @throws {@link NodkeyError} `NOT_FOUND` if there is none.
   */
  async forDevice(device: string, options?: CallOptions): Promise<Binding> {
    const request = { deviceIdentifier: device };
    return convert.binding(await this.#connection.call((rpc) => this.#service.getDeviceBinding(request, rpc), options));
  }

  /** Lists bindings, newest first, those that have ended included. */
  list({ user = '', state, pageSize = 0 }: BindingFilter = {}, options?: CallOptions): List<Binding> {
    const request = { userIdentifier: user, pageSize, ...(state && { state: StateValue[state] }) };
    return new List(async (pageToken) => {
      const page = await this.#connection.call(
        (rpc) => this.#service.listBindings({ ...request, pageToken }, rpc),
        options,
      );
      return { items: page.bindings.map(convert.binding), next: page.nextPageToken };
    });
  }
}
