/** The key statement: the device key says which presence keys are the device's. */

import { includes, isAudience, isDate, isOneOf, isText, type Audience } from './claims.js';
import { VerificationError } from './error.js';
import type { PublicKey } from './jwk.js';
import { isObject, type JsonObject } from './json.js';
import { parseJws, verifyJws, type Compact } from './jws.js';

const KEYS_TYP = 'nodkey-keys+jwt';
/** The most presence keys that a statement names. */
const MAX_KEYS = 8;

/** The claims that the device key signs. */
export interface KeyStatement {
  readonly iss: string;
  readonly aud: Audience;
  readonly seq: number;
  readonly keys: readonly { readonly kind: 'biometric' | 'credential'; readonly jkt: string }[];
  readonly nonce: string;
  readonly iat: number;
}

/** Verifies a statement with the key of the device that it is about, for the deployment of that URL. */
export function readKeyStatement(jws: unknown, device: PublicKey, audience: string): KeyStatement {
  const statement = read(parseJws(jws), device);
  const names = new Set(statement.keys.map(({ jkt }) => jkt));
  const areGood =
    statement.keys.length <= MAX_KEYS && names.size === statement.keys.length && !names.has(statement.iss);
  const isMeant = statement.iss === device.thumbprint && includes(statement.aud, audience);
  if (!areGood || !isMeant) throw new VerificationError('wrong_claims');
  return statement;
}

/** Verifies a presence key's signature over the same claims. */
export function verifyKeySignature(jws: Compact, statement: KeyStatement, presence: PublicKey): void {
  if (JSON.stringify(read(jws, presence)) !== JSON.stringify(statement)) throw new VerificationError('wrong_claims');
}

/** The claims in one order, so that those that are the same are written the same. */
function read(jws: Compact, key: PublicKey): KeyStatement {
  const { value } = verifyJws(jws, key, KEYS_TYP);
  if (!isKeyStatement(value)) throw new VerificationError('wrong_claims');
  const { iss, aud, seq, keys, nonce, iat } = value;
  return { iss, aud, seq, keys: keys.map(({ kind, jkt }) => ({ kind, jkt })), nonce, iat: Math.floor(iat) };
}

function isKeyStatement(claims: JsonObject): claims is JsonObject & KeyStatement {
  const { iss, aud, seq, keys, nonce, iat } = claims;
  return (
    isText(iss) &&
    isText(nonce) &&
    isAudience(aud) &&
    isDate(iat) &&
    Number.isSafeInteger(seq) &&
    Number(seq) >= 0 &&
    Array.isArray(keys) &&
    keys.every((key) => isObject(key) && isOneOf('biometric', 'credential')(key['kind']) && isText(key['jkt']))
  );
}
