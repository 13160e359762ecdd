/** The receipt: the deployment's signed record of how a trusonafication ended. */

import { JoseError, findKey, parseJws, verifyJws } from './jose.js';

/** The `typ` of a receipt. */
export const RECEIPT_TYP = 'nodkey-receipt+jwt';

/** @typedef {'ACCEPTED' | 'ACCEPTED_AT_HIGHER_LEVEL' | 'ACCEPTED_AT_LOWER_LEVEL'} Accepted */
/** @typedef {Accepted | 'REJECTED' | 'EXPIRED' | 'CANCELED'} ReceiptStatus */
/** @typedef {'device' | 'biometric' | 'credential'} KeyKind */
/**
 * One receipt for every end. An accept has `dec`, `level`, `dev`, `key`, `user` and `resp`; a rejection the same without `level`; an
 * expired or canceled one has none of `dec`, `level`, `key` and `resp`.
 * @typedef {object} Receipt
 * @property {string} iss the gateway's public URL
 * @property {string} jti id of the result
 * @property {string} sub trusonafication id
 * @property {string} rp id of the relying party
 * @property {number} at when it ended by the deployment's clock, in microseconds
 * @property {ReceiptStatus} status
 * @property {number} [level] what the accept proved
 * @property {'accept' | 'reject'} [dec] how the answer counted: a signed accept with a wrong number is a rejection
 * @property {'not_me' | 'changed_mind' | 'number_mismatch'} [why]
 * @property {string} [dev] device identifier
 * @property {{jkt: string, kind: KeyKind}} [key] the key that answered
 * @property {string} [user] as the relying party names them
 * @property {string} chal hash of the challenge
 * @property {string} [resp] hash of the response
 * @property {string} [data] hash of `data` in the webhook that reports it
 */

const ACCEPTED = ['ACCEPTED', 'ACCEPTED_AT_HIGHER_LEVEL', 'ACCEPTED_AT_LOWER_LEVEL'];
const REASONS = ['not_me', 'changed_mind', 'number_mismatch'];
const KINDS = ['device', 'biometric', 'credential'];
const OPTIONAL = /** @type {const} */ (['level', 'dec', 'why', 'dev', 'key', 'user', 'resp']);

/**
 * Whether it was accepted, at any level.
 * @param {Receipt} receipt
 */
export function isAccepted({ status }) {
  return ACCEPTED.includes(status);
}

/**
 * Whether it was accepted with at least the requested level.
 * @param {Receipt} receipt
 */
export function isSuccess({ status }) {
  return status === 'ACCEPTED' || status === 'ACCEPTED_AT_HIGHER_LEVEL';
}

/**
 * Verifies a receipt with the deployment's keys, and that its members are consistent.
 * @param {string} receipt
 * @param {import('./jose.js').Jwks} jwks
 * @returns {Promise<Receipt>}
 */
export async function verifyReceipt(receipt, jwks) {
  const compact = parseJws(receipt);
  /** @type {any} */
  const claims = await verifyJws(compact, findKey(jwks, compact.header.kid, RECEIPT_TYP), RECEIPT_TYP);
  for (const name of OPTIONAL) claims[name] ??= undefined;
  if (!isReceipt(claims)) throw new JoseError('CLAIMS');
  return claims;
}

/**
 * @param {any} claims
 * @returns {claims is Receipt}
 */
function isReceipt(claims) {
  return (
    [claims.iss, claims.jti, claims.sub, claims.rp, claims.chal].every(isText) &&
    [claims.dev, claims.user, claims.resp].every((text) => text === undefined || isText(text)) &&
    Number.isSafeInteger(claims.at) &&
    [undefined, 1, 2, 3].includes(claims.level) &&
    [undefined, 'accept', 'reject'].includes(claims.dec) &&
    [undefined, ...REASONS].includes(claims.why) &&
    (claims.key === undefined || (isText(claims.key?.jkt) && KINDS.includes(claims.key.kind))) &&
    goTogether(claims)
  );
}

/** @param {Receipt} claims */
function goTogether(claims) {
  const { status, level, dec, why, dev, key, user, resp } = claims;
  const isAnswered = [dec, dev, key, user, resp].every((member) => member !== undefined);
  if (isAccepted(claims)) return isAnswered && dec === 'accept' && level !== undefined && why === undefined;
  if (status === 'REJECTED') return isAnswered && dec === 'reject' && level === undefined;
  return (
    ['EXPIRED', 'CANCELED'].includes(status) && [dec, level, why, key, resp].every((member) => member === undefined)
  );
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === 'string';
}
