import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { UserService } from '../gen/nodkey/binding/v1/users_pb.js';
import { List } from '../pages.js';
import type { Binding, User } from '../types.js';

/** Which users to list. */
export interface UserFilter {
  /** How their identifiers begin, case-sensitive. */
  readonly prefix?: string | undefined;
  /** How many are fetched at a time: at most 500, 50 unless given. */
  readonly pageSize?: number | undefined;
}

/** Users, by the names that you give them. */
export class Users {
  readonly #connection: Connection;
  readonly #service: Client<typeof UserService>;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(UserService);
  }

  /**
   * Returns a user: how many devices they have, and whether they are frozen.
   *
   * @throws {@link NodkeyError} `USER_NOT_FOUND`.
   */
  async get(user: string, options?: CallOptions): Promise<User> {
    return convert.user(
      await this.#connection.call((rpc) => this.#service.getUser({ userIdentifier: user }, rpc), options),
    );
  }

  /** Lists users in the byte order of their identifiers. */
  list({ prefix = '', pageSize = 0 }: UserFilter = {}, options?: CallOptions): List<User> {
    return new List(async (pageToken) => {
      const page = await this.#connection.call(
        (rpc) => this.#service.listUsers({ prefix, pageSize, pageToken }, rpc),
        options,
      );
      return { items: page.users.map(convert.user), next: page.nextPageToken };
    });
  }

  /** Returns the bindings of a user that have not ended, oldest first: at most 100. Empty for an unknown user. */
  async devices(user: string, options?: CallOptions): Promise<readonly Binding[]> {
    const answer = await this.#connection.call(
      (rpc) => this.#service.listUserDevices({ userIdentifier: user }, rpc),
      options,
    );
    return answer.bindings.map(convert.binding);
  }

  /**
   * Freezes a user: nobody can prompt them, and none of their devices can respond, until they are released. Bindings and devices stay.
   *
   * @throws {@link NodkeyError} `USER_NOT_FOUND`.
   */
  async freeze(
    user: string,
    { note = '', ...options }: CallOptions & { readonly note?: string | undefined } = {},
  ): Promise<User> {
    return convert.user(
      await this.#connection.call((rpc) => this.#service.freezeUser({ userIdentifier: user, note }, rpc), options),
    );
  }

  /**
   * Releases a frozen user: everything is as before. First make sure that the user, and nobody else, has their phones.
   *
   * @throws {@link NodkeyError} `USER_NOT_FOUND`.
   */
  async release(user: string, options?: CallOptions): Promise<User> {
    return convert.user(
      await this.#connection.call((rpc) => this.#service.releaseUser({ userIdentifier: user }, rpc), options),
    );
  }

  /**
   * Ends every binding of a user and retires the devices, permanently. Returns their identifiers. If the answer was lost and the call was
   * repeated, it is refused with `USER_NOT_FOUND`.
   *
   * @throws {@link NodkeyError} `USER_NOT_FOUND`.
   */
  async deactivate(user: string, options?: CallOptions): Promise<readonly string[]> {
    const answer = await this.#connection.call(
      (rpc) => this.#service.deactivateUser({ userIdentifier: user }, rpc),
      options,
    );
    return answer.deviceIdentifiers;
  }
}
