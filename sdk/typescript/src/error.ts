/** What can be done about an error (docs/errors.md). */
export type ErrorKind = (typeof KINDS)[number];

/** Every kind. */
export const KINDS = [
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

/** What is wrong with one field of a request. */
export interface FieldViolation {
  /** The name of the field in `proto/`: `user_identifier`. */
  readonly field: string;
  /** For people: `must not be blank`. */
  readonly description: string;
}

/** Reasons that no server gives. `CANCELLED`: the client was closed; a call whose signal aborts throws the signal's reason. */
export type ClientReason =
  'INVALID_CREDENTIAL' | 'INVALID_URL' | 'INVALID_PARAMETER' | 'UNEXPECTED_ANSWER' | 'DEADLINE_EXCEEDED' | 'CANCELLED';

const KINDS_OF_REASONS: Record<ClientReason, ErrorKind> = {
  INVALID_CREDENTIAL: 'INVALID',
  INVALID_URL: 'INVALID',
  INVALID_PARAMETER: 'INVALID',
  UNEXPECTED_ANSWER: 'INTERNAL',
  DEADLINE_EXCEEDED: 'UNAVAILABLE',
  CANCELLED: 'UNAVAILABLE',
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
}
