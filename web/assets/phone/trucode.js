/** Secure QR codes (docs/protocol/mobile.md, section 8): what a phone makes of a scan. */

import { findKey, parseJws, verifyJws } from '../lib/jose.js';
import { Untrusted } from './errors.js';

/**
 * A code whose signature was verified, and what to show before pairing it.
 * @typedef {object} Scanned
 * @property {string} payload
 * @property {number} expiresAt milliseconds
 * @property {string} relyingParty
 * @property {string | null} origin of the page that shows the code: the person compares it with what they see
 * @property {string | null} place roughly where that browser is
 * @property {boolean} matchNumber whether the person has to enter the two digits the page shows
 */

const TYP = 'nodkey-trucode+jwt';
/** Longer than any code, shorter than what could slow a phone down. */
const MAX_LENGTH = 4096;

/**
 * The payload of what was scanned or opened: itself, or the `payload` of a link.
 * @param {string} text
 */
export function payloadOf(text) {
  const link = URL.parse(text.trim());
  const payload = link ? link.searchParams.get('payload') : text.trim();
  if (!payload || payload.length > MAX_LENGTH) throw new Untrusted('MALFORMED');
  return payload;
}

/**
 * Verifies a payload by the deployment's keys.
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
