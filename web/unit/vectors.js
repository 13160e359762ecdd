/** The worked examples of docs/protocol/mobile.md, and keys made of them. */

import { readFileSync } from 'node:fs';

/** @type {any} */
export const vectors = JSON.parse(readFileSync(new URL('../../tests/vectors/mobile-v1.json', import.meta.url), 'utf8'));

/**
 * Those of version 2: key statements, receipts, evidence.
 * @type {any}
 */
export const vectors2 = JSON.parse(
  readFileSync(new URL('../../tests/vectors/mobile-v2.json', import.meta.url), 'utf8'),
);

/** The JWKS of the vectors' deployment. */
export const jwks = { keys: [{ ...vectors.keys.server_ed25519.jwk, kid: vectors.keys.server_ed25519.thumbprint }] };

/**
 * Signs with the private key of that name.
 * @param {string} name
 * @returns {Promise<(message: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>>}
 */
export async function signer(name) {
  const { jwk, d, alg } = vectors2.keys[name];
  const algorithm = alg === 'EdDSA' ? { name: 'Ed25519' } : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('jwk', { ...jwk, d }, algorithm, false, ['sign']);
  return async (message) => new Uint8Array(await crypto.subtle.sign(algorithm, key, message));
}
