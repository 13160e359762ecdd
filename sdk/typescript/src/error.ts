import { Code, ConnectError } from '@connectrpc/connect';

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from './gen/google/rpc/error_details_pb.js';

/** What can be done about an error (docs/errors.md). */
export type ErrorKind = (typeof KINDS)[number];

const KINDS = [
  'INVALID',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'CONFLICT',
  'GONE',
  'PRECONDITION',
  'TOO_LARGE',
  'EXHAUSTED',
  'UNAVAILABLE',
  'INTERNAL',
] as const;

const KINDS_OF_CODES: Partial<Record<Code, ErrorKind>> = {
  [Code.InvalidArgument]: 'INVALID',
  [Code.OutOfRange]: 'INVALID',
  [Code.Unauthenticated]: 'UNAUTHENTICATED',
  [Code.PermissionDenied]: 'FORBIDDEN',
  [Code.NotFound]: 'NOT_FOUND',
  [Code.AlreadyExists]: 'CONFLICT',
  [Code.Aborted]: 'CONFLICT',
  [Code.FailedPrecondition]: 'PRECONDITION',
  [Code.ResourceExhausted]: 'EXHAUSTED',
  [Code.Unavailable]: 'UNAVAILABLE',
  [Code.DeadlineExceeded]: 'UNAVAILABLE',
  [Code.Canceled]: 'UNAVAILABLE',
};

/** What is wrong with one field of a request. */
export interface FieldViolation {
  /** The name of the field in `proto/`: `user_identifier`. */
  readonly field: string;
  /** For people: `must not be blank`. */
  readonly description: string;
}

/** Reasons that no server gives. */
export type ClientReason =
  'INVALID_CREDENTIAL' | 'INVALID_URL' | 'INVALID_PARAMETER' | 'UNEXPECTED_ANSWER' | 'DEADLINE_EXCEEDED';

const KINDS_OF_REASONS: Record<ClientReason, ErrorKind> = {
  INVALID_CREDENTIAL: 'INVALID',
  INVALID_URL: 'INVALID',
  INVALID_PARAMETER: 'INVALID',
  UNEXPECTED_ANSWER: 'INTERNAL',
  DEADLINE_EXCEEDED: 'UNAVAILABLE',
};

interface Members {
  readonly reason: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly fields?: readonly FieldViolation[];
  readonly retryAfter?: number | undefined;
}

/** A call that was refused or failed. Compare `reason`, which is stable, and never `message`. */
export class NodkeyError extends Error {
  override readonly name = 'NodkeyError';
  /** Stable, upper case: `USER_NOT_FOUND`. All are in docs/errors.md; {@link ClientReason} lists those that no server gives. */
  readonly reason: string;
  /** What can be done about it. */
  readonly kind: ErrorKind;
  /** The invalid fields of the request, if that is the problem. */
  readonly fields: readonly FieldViolation[];
  /** After how many milliseconds the same call may succeed, if the server knows. */
  readonly retryAfter: number | undefined;

  /** @internal */
  constructor({ reason, kind, message, fields, retryAfter }: Members, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.kind = kind;
    this.fields = fields ?? [];
    this.retryAfter = retryAfter;
  }

  /** Whether the same call may succeed later: the kind is `EXHAUSTED` or `UNAVAILABLE`. */
  get retryable(): boolean {
    return this.kind === 'EXHAUSTED' || this.kind === 'UNAVAILABLE';
  }

  /** @internal An error that no server sent. */
  static client(
    reason: ClientReason,
    message: string,
    { fields, ...options }: ErrorOptions & { fields?: readonly FieldViolation[] } = {},
  ): NodkeyError {
    return new NodkeyError({ reason, kind: KINDS_OF_REASONS[reason], message, ...(fields && { fields }) }, options);
  }

  /** @internal The error of a call that was refused, or did not reach the server. */
  static from(status: ConnectError): NodkeyError {
    const info = infoOf(status);
    const [bad] = status.findDetails(BadRequestSchema);
    const kind = KINDS.find((known) => known === info?.metadata['kind']) ?? KINDS_OF_CODES[status.code] ?? 'INTERNAL';
    return new NodkeyError({
      reason: info?.reason ?? nameOf(status.code),
      kind,
      message: status.rawMessage || `the call failed: ${nameOf(status.code)}`,
      fields: bad?.fieldViolations.map(({ field, description }) => ({ field, description })) ?? [],
      retryAfter: pauseOf(status),
    });
  }
}

/** What a server of ours says about an error. `undefined`: the connection broke, or something else answered. */
export function infoOf(
  status: ConnectError,
): { readonly reason: string; readonly metadata: Record<string, string> } | undefined {
  return status.findDetails(ErrorInfoSchema)[0];
}

/** After how many milliseconds the server says that the call may succeed. */
export function pauseOf(status: ConnectError): number | undefined {
  const delay = status.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay === undefined ? undefined : Number(delay.seconds) * 1000 + delay.nanos / 1_000_000;
}

/** The name of a gRPC code: `DEADLINE_EXCEEDED`. */
function nameOf(code: Code): string {
  return code === Code.Canceled ? 'CANCELLED' : Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}
