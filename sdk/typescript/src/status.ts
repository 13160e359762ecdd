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
  const code = isBroken(status) ? Code.Unavailable : status.code;
  const kind = KINDS.find((known) => known === info?.metadata['kind']) ?? KINDS_OF_CODES[code] ?? 'INTERNAL';
  return new NodkeyError({
    reason: info?.reason ?? nameOf(code),
    kind,
    message: status.rawMessage || `the call failed: ${nameOf(code)}`,
    fields: bad?.fieldViolations.map(({ field, description }) => ({ field, description })) ?? [],
    retryAfter: pauseOf(status),
  });
}

/** Whether the connection broke, or something between here and the server failed: a server of ours says why. */
export function isBroken(status: ConnectError): boolean {
  return [Code.Canceled, Code.Unknown, Code.Internal].includes(status.code) && infoOf(status) === undefined;
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
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}
