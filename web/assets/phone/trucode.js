/** Secure QR codes (docs/protocol/mobile.md, section 8): reading what was scanned. */

import { findKey, parseJws, verifyJws } from '../lib/jose.js';
import { Untrusted } from './errors.js';

/**
 * A code whose signature has been verified, with what to show before pairing it.
 * @typedef {object} Scanned
 * @property {string} payload
 * @property {number} expiresAt milliseconds
 * @property {string} relyingParty
 * @property {string | null} origin of the page that shows the code, for the person to compare
 * @property {string | null} place approximate location of that browser
 * @property {boolean} matchNumber whether the person must enter the two digits that the page shows
 */

const TYP = 'nodkey-trucode+jwt';
/** The longest payload that is read, in characters: more than any code has. */
const MAX_LENGTH = 4096;

/**
 * The payload of a scanned code: the text itself, or the `payload` parameter of a link.
 * @param {string} text
 */
export function payloadOf(text) {
  const link = URL.parse(text.trim());
  const payload = link ? link.searchParams.get('payload') : text.trim();
  if (!payload || payload.length > MAX_LENGTH) throw new Untrusted('MALFORMED');
  return payload;
}

/**
 * Verifies a payload with the deployment's keys.
 * @param {string} payload
 * @param {import('../lib/jose.js').Jwks} jwks
 */
export async function verifyPayload(payload, jwks) {
  const compact = parseJws(payload);
  const { jti, exp } = await verifyJws(compact, findKey(jwks, compact.header.kid, TYP), TYP);
  if (typeof jti !== 'string' || typeof exp !== 'number') throw new Untrusted('MALFORMED');
  // Milliseconds, unlike every other `exp`.
  return { reference: encodeURIComponent(jti), expiresAt: exp };
}
