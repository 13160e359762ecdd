/** What statuses of gRPC say. */

import { Code, type ConnectError } from '@connectrpc/connect';

import { KINDS, NodkeyError, type ErrorKind } from './error.js';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from './gen/google/rpc/error_details_pb.js';

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

/** The error of a call that was refused, or did not reach the server. */
export function errorOf(status: ConnectError): NodkeyError {
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
