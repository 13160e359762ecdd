/** The key statement: the device key certifies the device's presence keys. */

import { JoseError, includes, isAudience, isDate, parseJws, thumbprint, verifyJws } from './jose.js';

/** The `typ` of a statement, and of the signatures of presence keys over it. */
export const KEYS_TYP = 'nodkey-keys+jwt';
/** The most presence keys a statement names. */
const MAX_KEYS = 8;

/**
 * @typedef {object} KeyStatement
 * @property {string} iss device identifier
 * @property {import('./jose.js').Audience} aud the gateway's public URL
 * @property {number} seq greater than in every earlier statement of the device
 * @property {{kind: 'biometric' | 'credential', jkt: string}[]} keys all presence keys of the device
 * @property {string} nonce
 * @property {number} iat seconds
 */

/**
 * Verifies a statement with the device's key, for the deployment with this URL.
 * @param {string} statement
 * @param {import('./jose.js').PublicJwk} device
 * @param {string} audience
 * @returns {Promise<KeyStatement>}
 */
export async function verifyKeyStatement(statement, device, audience) {
  const claims = await verifyJws(parseJws(statement), device, KEYS_TYP);
  if (!isKeyStatement(claims)) throw new JoseError('CLAIMS');
  const names = new Set(claims.keys.map((key) => key.jkt));
  const areGood = claims.keys.length <= MAX_KEYS && names.size === claims.keys.length && !names.has(claims.iss);
  const isMeant = claims.iss === (await thumbprint(device)) && includes(claims.aud, audience);
  if (!areGood || !isMeant) throw new JoseError('CLAIMS');
  return { ...claims, iat: Math.floor(claims.iat) };
}

/**
 * Verifies a presence key's signature over the same claims.
 * @param {import('./jose.js').Compact} signature
 * @param {KeyStatement} statement
 * @param {import('./jose.js').PublicJwk} presence
 */
export async function verifyKeySignature(signature, statement, presence) {
  const claims = await verifyJws(signature, presence, KEYS_TYP);
  if (!isKeyStatement(claims) || !areSame(claims, statement)) throw new JoseError('CLAIMS');
}

/**
 * @param {KeyStatement} one
 * @param {KeyStatement} other
 */
function areSame(one, other) {
  const names = /** @type {const} */ (['iss', 'seq', 'nonce']);
  return (
    names.every((name) => one[name] === other[name]) &&
    Math.floor(one.iat) === Math.floor(other.iat) &&
    JSON.stringify(one.aud) === JSON.stringify(other.aud) &&
    one.keys.length === other.keys.length &&
    one.keys.every(({ kind, jkt }, at) => kind === other.keys[at].kind && jkt === other.keys[at].jkt)
  );
}

/**
 * @param {any} claims
 * @returns {claims is KeyStatement}
 */
function isKeyStatement(claims) {
  return (
    [claims.iss, claims.nonce].every((text) => typeof text === 'string') &&
    isAudience(claims.aud) &&
    isDate(claims.iat) &&
    Number.isSafeInteger(claims.seq) &&
    claims.seq >= 0 &&
    Array.isArray(claims.keys) &&
    claims.keys.every(isStatedKey)
  );
}

/** @param {any} key */
function isStatedKey(key) {
  return ['biometric', 'credential'].includes(key?.kind) && typeof key.jkt === 'string';
}
