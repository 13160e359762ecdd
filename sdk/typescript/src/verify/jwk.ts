/** Public keys (RFC 7517) and sets of them: P-256 and Ed25519, and nothing else. */

import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';

import { base64url, fromBase64url } from './base64.js';
import { isOnEd25519, isSmallOrder } from './ed25519.js';
import { isObject } from './json.js';

/** A public key. Members other than those of the key are ignored. */
export type Jwk = Readonly<Record<string, unknown>>;

/** A JSON Web Key Set (RFC 7517 section 5), as `GET /jwks` and `/jwks/archive` of a deployment return it. */
export interface Jwks {
  /** The keys. Those that cannot be read are ignored. */
  readonly keys: readonly unknown[];
}

/** A key that was read and checked. */
export interface PublicKey {
  readonly algorithm: 'ES256' | 'EdDSA';
  /** RFC 7638, SHA-256, base64url. */
  readonly thumbprint: string;
  readonly key: KeyObject;
}

/** Members that only the owner of a key may have (RFC 7518 section 6). */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** What a key without `typs` may sign: what was signed before keys had them. Never a receipt. */
const TYPS_BEFORE = ['nodkey-challenge+jwt', 'nodkey-result+jwt', 'nodkey-device+jwt', 'nodkey-trucode+jwt'];

/** Reads a public key. `undefined`: another type of key, not on the curve, with private members, or not for this algorithm or use. */
export function readKey(jwk: unknown): PublicKey | undefined {
  if (!isObject(jwk) || PRIVATE.some((name) => (jwk[name] ?? null) !== null)) return undefined;
  const coordinate = (name: string): string | undefined => {
    const text = jwk[name];
    return typeof text === 'string' && fromBase64url(text)?.length === 32 ? text : undefined;
  };
  const [x, y] = [coordinate('x'), coordinate('y')];
  let algorithm: PublicKey['algorithm'];
  // In the order of RFC 7638.
  let members: Record<string, string>;
  if (jwk['kty'] === 'EC' && jwk['crv'] === 'P-256' && x !== undefined && y !== undefined) {
    algorithm = 'ES256';
    members = { crv: 'P-256', kty: 'EC', x, y };
  } else if (jwk['kty'] === 'OKP' && jwk['crv'] === 'Ed25519' && x !== undefined && isGoodEd25519(x)) {
    algorithm = 'EdDSA';
    members = { crv: 'Ed25519', kty: 'OKP', x };
  } else {
    return undefined;
  }
  if (!isAlgorithm(jwk['alg'] ?? algorithm, algorithm) || (jwk['use'] ?? 'sig') !== 'sig') return undefined;
  const thumbprint = base64url(createHash('sha256').update(JSON.stringify(members)).digest());
  try {
    return { algorithm, thumbprint, key: createPublicKey({ key: members, format: 'jwk' }) };
  } catch {
    // The point is not on the curve.
    return undefined;
  }
}

/** Whether a name is that of an algorithm. `Ed25519` (RFC 9864) is `EdDSA` with its curve, the only one here. */
export function isAlgorithm(name: unknown, algorithm: PublicKey['algorithm']): boolean {
  return name === algorithm || (name === 'Ed25519' && algorithm === 'EdDSA');
}

/** Verifies a signature of 64 bytes. ES256 accepts a high and a low `s`, since secure hardware makes both; Ed25519 is strict. */
export function verifySignature({ algorithm, key }: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  if (algorithm === 'ES256') return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
  return !isSmallOrder(signature.subarray(0, 32)) && verify(null, message, key, signature);
}

/** The key of a set that a `kid` names, if it may sign this `typ`. A key that was revoked signs nothing. */
export function findKey(jwks: Jwks, kid: string | undefined, typ: string): PublicKey | undefined {
  for (const jwk of jwks.keys) {
    if (!isObject(jwk) || jwk['kid'] !== kid || kid === undefined || 'revoked' in jwk) continue;
    const typs = jwk['typs'] === undefined ? TYPS_BEFORE : jwk['typs'];
    if (!Array.isArray(typs) || !typs.every((named) => typeof named === 'string') || !typs.includes(typ)) continue;
    const key = readKey(jwk);
    if (key !== undefined) return key;
  }
  return undefined;
}

function isGoodEd25519(x: string): boolean {
  const point = fromBase64url(x);
  return point !== undefined && isOnEd25519(point) && !isSmallOrder(point);
}
