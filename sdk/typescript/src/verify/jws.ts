/**
 * Compact JWS (RFC 7515) by ES256 and EdDSA, and nothing else.
 *
 * On `node:crypto` rather than a library: what verifies here has to be exactly what verifies elsewhere (sdk/spec/vectors). Libraries accept
 * more, such as repeated members, other encodings of base64url, or Ed25519 keys of small order.
 */

import { createHash } from 'node:crypto';

import { base64url, fromBase64url } from './base64.js';
import { VerificationError } from './error.js';
import { findKey, isAlgorithm, verifySignature, type Jwks, type PublicKey } from './jwk.js';
import { readObject, type JsonObject, type Written } from './json.js';

/** The longest JWS that is read, 1.5 MiB: a challenge with 1 MiB of custom fields. */
const MAX_LENGTH = 3 << 19;

/** A JWS that was parsed and not verified. */
export interface Compact {
  readonly alg: string;
  readonly typ: string | undefined;
  readonly kid: string | undefined;
  readonly payload: Buffer;
  readonly signature: Buffer;
  /** What is signed. */
  readonly input: string;
}

/** Parses a compact JWS. Nothing in it can be trusted yet. */
export function parseJws(jws: unknown): Compact {
  if (typeof jws !== 'string' || jws.length > MAX_LENGTH) throw new VerificationError('malformed');
  const [first, second, third, ...more] = jws.split('.');
  const [header, payload, signature] = [first, second, third].map((part) =>
    part === undefined ? undefined : fromBase64url(part),
  );
  const read = header === undefined ? undefined : readObject(header);
  if (read === undefined || payload === undefined || signature === undefined || more.length > 0)
    throw new VerificationError('malformed');
  const { alg, typ, kid, crit } = read.value;
  // `crit` names extensions that have to be understood. None is.
  if (typeof alg !== 'string' || !isTextOrAbsent(typ) || !isTextOrAbsent(kid) || crit !== undefined) {
    throw new VerificationError('malformed');
  }
  return {
    alg,
    typ: typ ?? undefined,
    kid: kid ?? undefined,
    payload,
    signature,
    input: jws.slice(0, jws.lastIndexOf('.')),
  };
}

/** Verifies a JWS with a key and returns its claims. The key says which algorithm it is, and the header has to agree. */
export function verifyJws(jws: Compact, key: PublicKey, typ: string, opaque: readonly string[] = []): Written {
  if (jws.typ !== typ) throw new VerificationError('wrong_type');
  if (!isAlgorithm(jws.alg, key.algorithm)) throw new VerificationError('wrong_algorithm');
  if (!verifySignature(key, Buffer.from(jws.input), jws.signature)) throw new VerificationError('invalid_signature');
  const claims = readObject(jws.payload, opaque);
  if (claims === undefined) throw new VerificationError('wrong_claims');
  return { ...claims, value: withoutNulls(claims.value) };
}

/** Verifies a JWS with the key of a set that its `kid` names. */
export function verifyByJwks(text: unknown, jwks: Jwks, typ: string, opaque: readonly string[] = []): Written {
  const jws = parseJws(text);
  const key = findKey(jwks, jws.kid, typ);
  if (key === undefined) throw new VerificationError('unknown_key');
  return verifyJws(jws, key, typ, opaque);
}

/** base64url of the SHA-256 of the characters. */
export function hashOf(text: string): string {
  return base64url(createHash('sha256').update(text).digest());
}

/** A member that is null counts as absent. */
export function withoutNulls(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}

function isTextOrAbsent(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || typeof value === 'string';
}
