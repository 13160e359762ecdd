/** JWTs that the deployment signs for a backend: results, and device identifiers. */

import { includes, isAbsentOr, isAudience, isDate, isText, type Audience, type Level } from './claims.js';
import { VerificationError } from './error.js';
import type { Jwks } from './jwk.js';
import type { JsonObject } from './json.js';
import { verifyByJwks } from './jws.js';
import { hasReceiptMembers, type KeyKind } from './receipt.js';

const RESULT_TYP = 'nodkey-result+jwt';
const DEVICE_TYP = 'nodkey-device+jwt';

/** How a trusonafication ended, as a `callback_url` receives it in `jwt`: the claims of a `nodkey-result+jwt`, under their own names. */
export interface ResultClaims {
  /** The deployment: its public URL. */
  readonly iss: string;
  /** The id of the relying party. */
  readonly aud: Audience;
  /** The id of the trusonafication. Compare it with the one that you created. */
  readonly sub: string;
  /** The `webhook-id`. */
  readonly jti: string;
  /** When it ended, in seconds since 1970. */
  readonly iat: number;
  /** `ACCEPTED` and so on. */
  readonly status: string;
  /** 1, 2 or 3. */
  readonly desired_level: number;
  /** What was proven; null without a response. */
  readonly accepted_level: number | null;
  /** The action, as it was shown. */
  readonly action: string;
  /** The resource, as it was shown. */
  readonly resource: string;
  /** The user who responded, or the target user. */
  readonly user_identifier: string | null;
  /** The device that responded, or the target device. */
  readonly device_identifier: string | null;
  /** As in the receipt, like all below. Absent in results from before receipts. */
  readonly rp?: string;
  /** Microseconds since 1970. */
  readonly at?: number;
  /** What the accept proved. */
  readonly level?: Level;
  /** How the response counted. */
  readonly dec?: 'accept' | 'reject';
  /** Why it was rejected. */
  readonly why?: 'not_me' | 'changed_mind' | 'number_mismatch';
  /** The device. */
  readonly dev?: string;
  /** The key that signed. */
  readonly key?: { readonly jkt: string; readonly kind: KeyKind };
  /** The user. */
  readonly user?: string;
  /** The hash of the challenge. */
  readonly chal?: string;
  /** The hash of the response. */
  readonly resp?: string;
}

/** The device identifier that an app hands over, signed by the deployment: the claims of a `nodkey-device+jwt`, under their own names. */
export interface DeviceClaims {
  /** The deployment: its public URL. */
  readonly iss: string;
  /** The id of the relying party whose app registered the device. */
  readonly aud: Audience;
  /** The device identifier. */
  readonly sub: string;
  /** When it was issued, in seconds since 1970. */
  readonly iat: number;
  /** When it expires, in seconds since 1970. */
  readonly exp: number;
  /** A random value. */
  readonly jti: string;
}

const RECEIPT_MEMBERS = ['rp', 'at', 'level', 'dec', 'why', 'dev', 'key', 'user', 'chal', 'resp'];
const RESULT_MEMBERS = ['iss', 'aud', 'sub', 'jti', 'iat', 'status', 'desired_level', 'action', 'resource'];
const NULLABLE = { accepted_level: null, user_identifier: null, device_identifier: null };

/** Verifies a result for the relying party of that id, by the deployment of that URL. */
export function readResult(jwt: unknown, jwks: Jwks, issuer: string, relyingParty: string): ResultClaims {
  const { value } = verifyByJwks(jwt, jwks, RESULT_TYP);
  if (!isResult(value) || value.iss !== issuer || !includes(value.aud, relyingParty))
    throw new VerificationError('wrong_claims');
  const members = [...RESULT_MEMBERS, ...Object.keys(NULLABLE), ...(hasReceiptMembers(value) ? RECEIPT_MEMBERS : [])];
  const claims = { ...NULLABLE, ...pick(value, members), iat: Math.floor(value.iat) };
  return claims as unknown as ResultClaims;
}

/** Verifies a device identifier for the relying party of that id, by the deployment of that URL. `now` is in milliseconds since 1970. */
export function readDeviceIdentifier(
  jwt: unknown,
  jwks: Jwks,
  issuer: string,
  relyingParty: string,
  now: number,
): DeviceClaims {
  const { value } = verifyByJwks(jwt, jwks, DEVICE_TYP);
  if (!isDevice(value)) throw new VerificationError('wrong_claims');
  const { iss, aud, sub, jti } = value;
  const claims = { iss, aud, sub, iat: Math.floor(value.iat), exp: Math.floor(value.exp), jti };
  const isMeant = claims.iss === issuer && includes(claims.aud, relyingParty) && Math.floor(now / 1000) < claims.exp;
  if (!isMeant) throw new VerificationError('wrong_claims');
  return claims;
}

function isResult(claims: JsonObject): claims is JsonObject & ResultClaims {
  return (
    ['iss', 'sub', 'jti', 'status', 'action', 'resource'].every((name) => isText(claims[name])) &&
    isAudience(claims['aud']) &&
    isDate(claims['iat']) &&
    Number.isSafeInteger(claims['desired_level']) &&
    isAbsentOr(Number.isSafeInteger, claims['accepted_level']) &&
    ['user_identifier', 'device_identifier'].every((name) => isAbsentOr(isText, claims[name]))
  );
}

function isDevice(claims: JsonObject): claims is JsonObject & DeviceClaims {
  return (
    ['iss', 'sub', 'jti'].every((name) => isText(claims[name])) &&
    isAudience(claims['aud']) &&
    isDate(claims['iat']) &&
    isDate(claims['exp'])
  );
}

function pick(claims: JsonObject, members: readonly string[]): JsonObject {
  return Object.fromEntries(members.filter((name) => claims[name] !== undefined).map((name) => [name, claims[name]]));
}
