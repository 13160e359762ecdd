import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';

import type { CallOptions } from '../call-options.js';
import { checkText } from '../check-request.js';
import type { Connection } from '../connection.js';
import * as convert from '../convert.js';
import { NodkeyError } from '../error.js';
import {
  NumberMatch as NumberMatchValue,
  Status as StatusValue,
  TrusonaficationService,
  type CreateTrusonaficationRequest,
  type CreateTrusonaficationRequestSchema,
  type Trusonafication as TrusonaficationMessage,
} from '../gen/nodkey/trusonafication/v1/trusonafications_pb.js';
import { Deadline } from '../deadline.js';
import { List } from '../pages.js';
import { Reconnects } from '../reconnects.js';
import type { CreatedTrusonafication, NumberMatch, RequestContext, Status, Trusonafication } from '../types.js';
import type { Level } from '../verify/claims.js';
import type { Evidence } from '../verify/evidence.js';
import { Waits } from '../waits.js';

type MessageInit = MessageInitShape<typeof CreateTrusonaficationRequestSchema>;
type TargetInit = CreateTrusonaficationRequest['target'];

/** How long `wait` and `watch` go on, in milliseconds. */
const WAIT = 300_000;
/** Whom to prompt: exactly one of the three. */
export type Target =
  | { readonly user: string; readonly device?: never; readonly code?: never }
  | { readonly device: string; readonly user?: never; readonly code?: never }
  | { readonly code: string; readonly user?: never; readonly device?: never };

/**
 * What a person has to confirm. `user`: all of their active devices are prompted, and the first response decides. `device`: only this one.
 * `code`: the device that scanned, or will scan, the secure QR code of this id; it is good for one request.
 */
export type NewTrusonafication = Target & {
  /** Shown to the person, such as `log in`: 1 to 255 visible characters. */
  readonly action: string;
  /** Shown to the person, such as `Acme Bank`: as `action`. */
  readonly resource: string;
  /** What an accept has to prove: 1 the phone, 2 also presence, 3 also an identity document. Default 2. */
  readonly level?: Level | undefined;
  /** Whether the phone shows it and waits for the person. `false` has no effect unless an operator allowed it. Default true. */
  readonly prompt?: boolean | undefined;
  /** Whether the person has to prove their presence. Default true, except at level 1. */
  readonly userPresence?: boolean | undefined;
  /** Whether the person has to present their registered document. Default true at level 3 only. */
  readonly showIdentityDocument?: boolean | undefined;
  /** When it expires, at most 24 hours ahead. Default: in 120 seconds, unless the deployment says otherwise. */
  readonly expiresAt?: Date | undefined;
  /** Your own fields, which the phone shows and signs: at most 1 MB as JSON. Amounts are exact as strings. */
  readonly customFields?: Readonly<Record<string, unknown>> | undefined;
  /** The same as JSON, shown and signed with exactly these characters. Not together with `customFields`. */
  readonly customFieldsJson?: string | undefined;
  /** An https URL of a public host to which the signed result is sent; verify it with `verifyResult`. */
  readonly callbackUrl?: string | undefined;
  /** Whether the person has to match a number that your page shows: `matchNumber` of the answer. */
  readonly numberMatch?: NumberMatch | undefined;
  /** Your login session, at most 255 characters. A newer prompt to the same user in the same context replaces an older one. */
  readonly context?: string | undefined;
  /** Where the request to you comes from. The phone shows it. */
  readonly requestContext?: RequestContext | undefined;
  /** Whether your page shows `matchNumber` whenever there is one, so that one may come unrequested. Default true. */
  readonly showsNumber?: boolean | undefined;
  /** At most 128 characters. The same id and content within 24 hours has no second effect. Default: a new one for each call. */
  readonly requestId?: string | undefined;
};

/** Which to list. Filters are combined. */
export interface TrusonaficationFilter {
  /** Only those in this status. */
  readonly status?: Status | undefined;
  /** Only those of this user. */
  readonly user?: string | undefined;
  /** Only those of this device. */
  readonly device?: string | undefined;
  /** Only those created then or later. */
  readonly createdAfter?: Date | undefined;
  /** Only those created before. */
  readonly createdBefore?: Date | undefined;
  /** The oldest first instead of the newest. */
  readonly oldestFirst?: boolean | undefined;
  /** How many are fetched at a time: at most 500, 50 unless given. */
  readonly pageSize?: number | undefined;
}

/** How long to wait. */
export interface WaitOptions extends CallOptions {
  /** After how many milliseconds to give up with `DEADLINE_EXCEEDED`. Default 300 000, five minutes. */
  readonly timeout?: number | undefined;
}

/** Requests to people, and how they end. */
export class Trusonafications {
  readonly #connection: Connection;
  readonly #service: Client<typeof TrusonaficationService>;
  readonly #waits: Waits;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#service = connection.client(TrusonaficationService);
    this.#waits = new Waits((ids, signal) => this.#service.watchResults(ids, connection.stream(signal)));
  }

  /**
   * Sends a request to the phones of a user, to one device, or to the device that scanned a secure QR code.
   *
   * @throws {@link NodkeyError}, among others `USER_HAS_NO_ACTIVE_DEVICE`, `DEVICE_HAS_NO_ACTIVE_BINDING`, `USER_FROZEN`, `TRUCODE_USED`, and
   * `PROMPT_BUDGET_EXHAUSTED` or `PROMPTS_HELD`: then show a secure QR code.
   */
  async create(request: NewTrusonafication, options?: CallOptions): Promise<CreatedTrusonafication> {
    const message = this.#toMessage(request);
    const answer = await this.#connection.call((rpc) => this.#service.createTrusonafication(message, rpc), options);
    if (answer.trusonafication === undefined) throw convert.unexpected('an answer without a trusonafication');
    return { ...convert.trusonafication(answer.trusonafication), matchNumber: answer.matchNumber || undefined };
  }

  /**
   * Returns a trusonafication as it is now.
   *
   * @throws {@link NodkeyError} `NOT_FOUND`.
   */
  async get(id: string, options?: CallOptions): Promise<Trusonafication> {
    return convert.trusonafication(
      await this.#connection.call((rpc) => this.#service.getTrusonafication({ id }, rpc), options),
    );
  }

  /**
   * Returns a trusonafication once it has ended, however it ended: look at `status`, or ask `isSuccess`. Survives restarts of the server and lost
   * connections. All that wait share a few streams.
   *
   * @throws {@link NodkeyError} `DEADLINE_EXCEEDED` after the time-out, `NOT_FOUND`; the signal's reason if it is aborted.
   */
  async wait(id: string, { signal, timeout = WAIT }: WaitOptions = {}): Promise<Trusonafication> {
    checkText('id', id);
    const deadline = new Deadline(this.#connection.environment, timeout, signal);
    try {
      return await this.#end(id, deadline.signal);
    } finally {
      deadline.end();
    }
  }

  /**
   * Iterates over the states of a trusonafication: the current one, then the end. Survives restarts of the server and lost connections.
   *
   * @throws as {@link Trusonafications.wait}.
   */
  async *watch(
    id: string,
    { signal, timeout = WAIT }: WaitOptions = {},
  ): AsyncGenerator<Trusonafication, void, undefined> {
    checkText('id', id);
    const deadline = new Deadline(this.#connection.environment, timeout, signal);
    try {
      const get = () => this.#service.getTrusonafication({ id }, this.#connection.attempt(deadline.signal));
      let state = await this.#persist(get, deadline.signal);
      if (state.status === 'IN_PROGRESS') {
        yield state;
        // On the streams of those that wait: a connection has room for a hundred of its own.
        state = await this.#end(id, deadline.signal);
      }
      // Now, as not everybody asks whether there is more.
      deadline.end();
      yield state;
    } finally {
      deadline.end();
    }
  }

  /**
   * Cancels a trusonafication that is in progress.
   *
   * @throws {@link NodkeyError} `NOT_IN_PROGRESS` if it has ended otherwise, `NOT_FOUND`.
   */
  async cancel(id: string, options?: CallOptions): Promise<Trusonafication> {
    return convert.trusonafication(
      await this.#connection.call((rpc) => this.#service.cancelTrusonafication({ id }, rpc), options),
    );
  }

  /** Lists trusonafications, newest first unless `oldestFirst`. */
  list(filter: TrusonaficationFilter = {}, options?: CallOptions): List<Trusonafication> {
    const { user, device, pageSize = 0, oldestFirst = false } = filter;
    const request = {
      ...(filter.status && { status: StatusValue[filter.status] }),
      userIdentifier: user ?? '',
      deviceIdentifier: device ?? '',
      ...(filter.createdAfter && { createdAfter: convert.timestamp(filter.createdAfter) }),
      ...(filter.createdBefore && { createdBefore: convert.timestamp(filter.createdBefore) }),
      oldestFirst,
      pageSize,
    };
    return new List(async (pageToken) => {
      const page = await this.#connection.call(
        (rpc) => this.#service.listTrusonafications({ ...request, pageToken }, rpc),
        options,
      );
      return { items: page.trusonafications.map(convert.trusonafication), next: page.nextPageToken };
    });
  }

  /**
   * Returns the evidence of an answered trusonafication: keep it as it is. It proves nothing until `verifyEvidence`.
   *
   * @throws {@link NodkeyError} `NOT_FOUND` before there is a response, and for what nobody responded to.
   */
  async evidence(id: string, options?: CallOptions): Promise<Evidence> {
    return convert.evidence(await this.#connection.call((rpc) => this.#service.getEvidence({ id }, rpc), options));
  }

  #end(id: string, signal: AbortSignal): Promise<Trusonafication> {
    return this.#persist(() => this.#waits.wait(id, signal), signal);
  }

  /** Tries until it succeeds, or fails with what does not pass. */
  async #persist(attempt: () => Promise<TrusonaficationMessage>, signal: AbortSignal): Promise<Trusonafication> {
    const reconnects = new Reconnects(this.#connection);
    for (;;) {
      signal.throwIfAborted();
      reconnects.begin();
      try {
        return convert.trusonafication(await attempt());
      } catch (error) {
        signal.throwIfAborted();
        await reconnects.pause(error, signal);
      }
    }
  }

  #toMessage(request: NewTrusonafication): MessageInit {
    const {
      user,
      device,
      code,
      level = 0,
      prompt,
      userPresence,
      showIdentityDocument,
      numberMatch,
      requestContext,
    } = request;
    return {
      requestId: request.requestId ?? this.#connection.environment.uuid(),
      desiredLevel: level,
      target: targetOf(user, device, code),
      action: request.action,
      resource: request.resource,
      ...(prompt !== undefined && { prompt }),
      ...(userPresence !== undefined && { userPresence }),
      ...(showIdentityDocument !== undefined && { showIdentityDocument }),
      ...(request.expiresAt && { expiresAt: convert.timestamp(request.expiresAt) }),
      customFieldsJson: customFieldsOf(request),
      callbackUrl: request.callbackUrl ?? '',
      ...(numberMatch && { numberMatch: NumberMatchValue[numberMatch] }),
      context: request.context ?? '',
      ...(requestContext && {
        requestContext: {
          address: requestContext.address ?? '',
          browser: requestContext.browser ?? '',
          place: requestContext.place ?? '',
        },
      }),
      showsNumber: request.showsNumber ?? true,
    };
  }
}

function targetOf(user: unknown, device: unknown, code: unknown): TargetInit {
  const given = [
    { case: 'userIdentifier', value: user },
    { case: 'deviceIdentifier', value: device },
    { case: 'trucodeId', value: code },
  ].filter(({ value }) => value !== undefined);
  const [target] = given;
  if (given.length !== 1 || typeof target?.value !== 'string') {
    throw NodkeyError.client('INVALID_PARAMETER', 'give exactly one of `user`, `device` and `code`, as a string');
  }
  return target as TargetInit;
}

function customFieldsOf({ customFields, customFieldsJson }: NewTrusonafication): string {
  if (customFields === undefined) return customFieldsJson ?? '';
  if (customFieldsJson !== undefined)
    throw NodkeyError.client('INVALID_PARAMETER', 'give `customFields` or `customFieldsJson`, not both');
  try {
    return JSON.stringify(customFields);
  } catch (cause) {
    throw NodkeyError.client('INVALID_PARAMETER', '`customFields` has something that JSON does not', { cause });
  }
}
