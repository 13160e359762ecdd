import { isAbsentOr, isAudience, isDate, isOneOf, isText, type Audience } from './claims.js';
import { VerificationError } from './error.js';
import type { Jwks, PublicKey } from './jwk.js';
import { isObject, type JsonObject } from './json.js';
import { verifyByJwks, verifyJws, type Compact } from './jws.js';

const CHALLENGE_TYP = 'nodkey-challenge+jwt';
const RESPONSE_TYP = 'nodkey-response+jwt';

/** The challenge, signed by the deployment: what the phone showed, and nothing else. Claims under their own names. */
export interface Challenge {
  /** The deployment: its public URL. */
  readonly iss: string;
  /** The id of the trusonafication. */
  readonly jti: string;
  /** When it was issued, in seconds since 1970. */
  readonly iat: number;
  /** When it expires, in seconds since 1970. */
  readonly exp: number;
  /** The relying party. */
  readonly rp: { readonly id: string; readonly name: string };
  /** The action, as it was shown. */
  readonly act: string;
  /** The resource, as it was shown. */
  readonly res: string;
  /** The desired level. */
  readonly lvl: number;
  /** Whether the phone had to show it. */
  readonly prompt: boolean;
  /** Whether presence had to be proven. */
  readonly presence: boolean;
  /** Whether the identity document had to be presented. */
  readonly document: boolean;
  /** Your own fields, as JSON with the characters that were signed. */
  readonly fieldsJson?: string;
  /** How a number was matched. */
  readonly match?:
    | { readonly mode: 'choose'; readonly choices: readonly string[] }
    | { readonly mode: 'enter'; readonly digits?: number };
  /** Where the request came from, as you stated it. */
  readonly from?: { readonly address?: string; readonly browser?: string; readonly place?: string };
  /** A random value. */
  readonly nonce: string;
}

/** The response, signed by the phone. Claims under their own names. */
export interface Response {
  /** The device identifier. */
  readonly iss: string;
  /** `iss` of the challenge. */
  readonly aud: Audience;
  /** The id of the trusonafication. */
  readonly sub: string;
  /** The hash of the challenge. */
  readonly chal: string;
  /** What the person decided. The decision that counts is the receipt's. */
  readonly dec: 'accept' | 'reject';
  /** Why it was rejected. */
  readonly why?: 'not_me' | 'changed_mind';
  /** The number that was chosen or entered. */
  readonly num?: string;
  /** The hash of the identity document. */
  readonly doc?: string;
  /** When it was signed by the phone's clock, in seconds since 1970. */
  readonly iat: number;
  /** A random value. */
  readonly jti: string;
}

/** Verifies that the deployment signed a challenge, at any time. */
export function readChallenge(jws: unknown, jwks: Jwks): Challenge {
  // Earlier releases accepted custom fields that repeat a member.
  const { value, text } = verifyByJwks(jws, jwks, CHALLENGE_TYP, ['fields']);
  if (!isChallenge(value)) throw new VerificationError('wrong_claims');
  const { fields, ...claims } = value;
  const fieldsJson = fields === undefined ? undefined : text.get('fields');
  return {
    ...claims,
    iat: Math.floor(claims.iat),
    exp: Math.floor(claims.exp),
    ...(fieldsJson !== undefined && { fieldsJson }),
  };
}

/** Verifies that a key signed a response. */
export function readResponse(jws: Compact, key: PublicKey): Response {
  const { value } = verifyJws(jws, key, RESPONSE_TYP);
  if (!isResponse(value)) throw new VerificationError('wrong_claims');
  return { ...value, iat: Math.floor(value.iat) };
}

function isChallenge(claims: JsonObject): claims is JsonObject & Challenge {
  const { rp, match, from } = claims;
  return (
    ['iss', 'jti', 'act', 'res', 'nonce'].every((name) => isText(claims[name])) &&
    ['iat', 'exp'].every((name) => isDate(claims[name])) &&
    ['prompt', 'presence', 'document'].every((name) => typeof claims[name] === 'boolean') &&
    isObject(rp) &&
    isText(rp['id']) &&
    isText(rp['name']) &&
    Number.isSafeInteger(claims['lvl']) &&
    isAbsentOr(isObject, claims['fields']) &&
    isAbsentOr(isMatch, match) &&
    isAbsentOr(
      (it) => isObject(it) && ['address', 'browser', 'place'].every((name) => isAbsentOr(isText, it[name])),
      from,
    )
  );
}

function isMatch(match: unknown): boolean {
  if (!isObject(match)) return false;
  const { mode, digits, choices } = match;
  return mode === 'choose'
    ? Array.isArray(choices) && choices.every(isText)
    : mode === 'enter' && isAbsentOr(Number.isSafeInteger, digits);
}

function isResponse(claims: JsonObject): claims is JsonObject & Response {
  return (
    ['iss', 'sub', 'chal', 'jti'].every((name) => isText(claims[name])) &&
    ['num', 'doc'].every((name) => isAbsentOr(isText, claims[name])) &&
    isAudience(claims['aud']) &&
    isDate(claims['iat']) &&
    isOneOf('accept', 'reject')(claims['dec']) &&
    isAbsentOr(isOneOf('not_me', 'changed_mind'), claims['why'])
  );
}
