import { isAbsentOr, isOneOf, isText, type Level } from './claims.js';
import { VerificationError } from './error.js';
import type { Jwks } from './jwk.js';
import { isObject, type JsonObject } from './json.js';
import { verifyByJwks } from './jws.js';

const RECEIPT_TYP = 'nodkey-receipt+jwt';

/** How a trusonafication ended. */
export type ReceiptStatus =
  'ACCEPTED' | 'ACCEPTED_AT_HIGHER_LEVEL' | 'ACCEPTED_AT_LOWER_LEVEL' | 'REJECTED' | 'EXPIRED' | 'CANCELED';

/** The role of a key on its device: it signs without the person, after their fingerprint or face, or after their PIN or passcode. */
export type KeyKind = 'device' | 'biometric' | 'credential';

/**
 * How a trusonafication ended, signed by the deployment: the claims of a `nodkey-receipt+jwt`, under their own names.
 *
 * An accept has `dec`, `level`, `dev`, `key`, `user` and `resp`; a rejection has the same without `level`; an expired or canceled one has none of
 * `dec`, `level`, `key` and `resp`.
 */
export interface Receipt {
  /** The deployment: its public URL. */
  readonly iss: string;
  /** The id of the result, a UUID. */
  readonly jti: string;
  /** The id of the trusonafication. */
  readonly sub: string;
  /** The id of the relying party. */
  readonly rp: string;
  /** When it ended by the deployment's clock, in microseconds since 1970. */
  readonly at: number;
  /** How it ended. */
  readonly status: ReceiptStatus;
  /** What the accept proved. */
  readonly level?: Level;
  /** How the response counted. A signed accept with a wrong number is a rejection. */
  readonly dec?: 'accept' | 'reject';
  /** Why it was rejected, if that is known. */
  readonly why?: 'not_me' | 'changed_mind' | 'number_mismatch';
  /** The device that responded; without a response the target device, if there was one. */
  readonly dev?: string;
  /** The key that signed the response: its thumbprint, and its role. */
  readonly key?: { readonly jkt: string; readonly kind: KeyKind };
  /** The user who responded, as you name them; without a response the target user, if known. */
  readonly user?: string;
  /** The hash of the challenge. */
  readonly chal: string;
  /** The hash of the response. */
  readonly resp?: string;
  /** The hash of `data` in the webhook that reports it. */
  readonly data?: string;
}

const ACCEPTED = ['ACCEPTED', 'ACCEPTED_AT_HIGHER_LEVEL', 'ACCEPTED_AT_LOWER_LEVEL'];
const STATUSES = [...ACCEPTED, 'REJECTED', 'EXPIRED', 'CANCELED'];

/** Whether it was accepted, at any level. */
export function isAccepted({ status }: { readonly status: string }): boolean {
  return ACCEPTED.includes(status);
}

/** Whether it was accepted at the desired level or above: what a backend acts on. */
export function isSuccess({ status }: { readonly status: string }): boolean {
  return status === 'ACCEPTED' || status === 'ACCEPTED_AT_HIGHER_LEVEL';
}

/** Verifies a receipt with the deployment's keys, and that its claims go together. */
export function readReceipt(jwt: unknown, jwks: Jwks): Receipt {
  const claims = verifyByJwks(jwt, jwks, RECEIPT_TYP).value;
  if (!hasMembersOfReceipt(claims) || !isConsistent(claims)) throw new VerificationError('wrong_claims');
  const { iss, jti, sub, rp, at, status, level, dec, why, dev, key, user, chal, resp, data } = claims;
  const members = { iss, jti, sub, rp, at, status, level, dec, why, dev, key, user, chal, resp, data };
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as unknown as Receipt;
}

/** Whether the members of a receipt that a result repeats have their types. */
export function hasReceiptMembers(claims: JsonObject): boolean {
  const key = claims['key'];
  return (
    [claims['rp'], claims['chal']].every(isText) &&
    Number.isSafeInteger(claims['at']) &&
    [claims['dev'], claims['user'], claims['resp']].every((claim) => isAbsentOr(isText, claim)) &&
    isAbsentOr(isOneOf(1, 2, 3), claims['level']) &&
    isAbsentOr(isOneOf('accept', 'reject'), claims['dec']) &&
    isAbsentOr(isOneOf('not_me', 'changed_mind', 'number_mismatch'), claims['why']) &&
    isAbsentOr(
      () => isObject(key) && isText(key['jkt']) && isOneOf('device', 'biometric', 'credential')(key['kind']),
      key,
    )
  );
}

function hasMembersOfReceipt(claims: JsonObject): claims is JsonObject & Receipt {
  return (
    hasReceiptMembers(claims) &&
    [claims['iss'], claims['jti'], claims['sub']].every(isText) &&
    isOneOf(...STATUSES)(claims['status']) &&
    isAbsentOr(isText, claims['data'])
  );
}

function isConsistent(receipt: Receipt): boolean {
  const { status, level, dec, why, dev, key, user, resp } = receipt;
  const isAnswered = [dec, dev, key, user, resp].every((member) => member !== undefined);
  if (isAccepted(receipt)) return isAnswered && dec === 'accept' && level !== undefined && why === undefined;
  if (status === 'REJECTED') return isAnswered && dec === 'reject' && level === undefined;
  return [dec, level, why, key, resp].every((member) => member === undefined);
}
