/** Challenges and responses: their types, validation and signatures (docs/protocol/mobile.md, sections 5 and 6). */

import { JoseError, findKey, isAudience, isDate, parseJws, sha256, utf8, verifyJws } from './jose.js';
import { members, shown } from './json_text.js';

/** The `typ` of a challenge. */
export const CHALLENGE_TYP = 'nodkey-challenge+jwt';
/** The `typ` of a response. */
export const RESPONSE_TYP = 'nodkey-response+jwt';

/**
 * A challenge. The phone shows only what these bytes say.
 * @typedef {object} Challenge
 * @property {string} iss the gateway's public URL
 * @property {string} jti trusonafication id
 * @property {number} iat seconds
 * @property {number} exp seconds
 * @property {{id: string, name: string}} rp the relying party
 * @property {string} act action
 * @property {string} res resource
 * @property {number} lvl desired level, 1 to 3
 * @property {boolean} prompt whether the phone must show it and let the person decide
 * @property {boolean} presence whether an accept must prove presence
 * @property {boolean} document whether an accept must prove the identity document
 * @property {Record<string, unknown> | null} [fields] custom fields, with numbers as doubles; show `shownFields` instead
 * @property {{mode: 'choose', choices: string[]} | {mode: 'enter', digits?: number | null} | null} [match] number matching; `digits`
 *   defaults to 2
 * @property {RequestContext | null} [from] origin of the request, as the backend states it
 * @property {string} nonce
 */
/** @typedef {{address?: string | null, browser?: string | null, place?: string | null}} RequestContext */
/** @typedef {'accept' | 'reject'} Decision */
/** @typedef {'not_me' | 'changed_mind'} RejectReason */
/**
 * The signed response. It covers exactly what the person saw.
 * @typedef {object} ResponseClaims
 * @property {string} iss device identifier
 * @property {import('./jose.js').Audience} aud `iss` of the challenge
 * @property {string} sub trusonafication id
 * @property {string} chal `challengeHash`
 * @property {Decision} dec
 * @property {RejectReason} [why] for a reject
 * @property {string} [num] the number chosen or entered
 * @property {string} [doc] document hash
 * @property {number} iat seconds
 * @property {string} jti
 */

/**
 * base64url of the SHA-256 of the challenge's own characters.
 * @param {string} challenge
 */
export function challengeHash(challenge) {
  return sha256(utf8(challenge));
}

/**
 * Verifies that the deployment signed a challenge, at any time. Fails with `UNKNOWN_KEY` when the JWKS does not have the key.
 * @param {string} challenge
 * @param {import('./jose.js').Jwks} jwks
 * @returns {Promise<Challenge>}
 */
export async function verifyChallenge(challenge, jwks) {
  const compact = parseJws(challenge);
  const claims = await verifyJws(compact, findKey(jwks, compact.header.kid, CHALLENGE_TYP), CHALLENGE_TYP);
  if (!isChallenge(claims)) throw new JoseError('CLAIMS');
  return claims;
}

/**
 * The claims of a challenge as they were written. Unverified until `verifyChallenge`.
 * @param {string} challenge
 */
export function challengeText(challenge) {
  return new TextDecoder().decode(parseJws(challenge).payload);
}

/**
 * The custom fields of a challenge as they are shown: names and values in order, numbers as the backend wrote them. Unverified, too.
 * @param {string} challenge
 * @returns {[name: string, value: string][]}
 */
export function shownFields(challenge) {
  const fields = members(challengeText(challenge)).findLast(([name]) => name === 'fields');
  return fields === undefined ? [] : members(fields[1]).map(([name, value]) => [name, shown(value)]);
}

/**
 * Verifies that `key` signed a response.
 * @param {import('./jose.js').Compact} response
 * @param {import('./jose.js').PublicJwk} key
 * @returns {Promise<ResponseClaims>}
 */
export async function verifyResponse(response, key) {
  const claims = await verifyJws(response, key, RESPONSE_TYP);
  if (!isResponse(claims)) throw new JoseError('CLAIMS');
  return claims;
}

/**
 * @param {any} claims
 * @returns {claims is Challenge}
 */
function isChallenge(claims) {
  return (
    [claims.iss, claims.jti, claims.act, claims.res, claims.nonce, claims.rp?.id, claims.rp?.name].every(isText) &&
    [claims.iat, claims.exp].every(isDate) &&
    Number.isSafeInteger(claims.lvl) &&
    [claims.prompt, claims.presence, claims.document].every((flag) => typeof flag === 'boolean') &&
    isAbsentOr(isObject, claims.fields) &&
    isAbsentOr(isMatch, claims.match) &&
    isAbsentOr(isRequestContext, claims.from)
  );
}

/** @param {any} match */
function isMatch(match) {
  return (
    (match?.mode === 'enter' && isAbsentOr(Number.isSafeInteger, match.digits)) ||
    (match?.mode === 'choose' && match.choices instanceof Array && match.choices.every(isText))
  );
}

/** @param {any} from */
function isRequestContext(from) {
  return isObject(from) && [from.address, from.browser, from.place].every((text) => isAbsentOr(isText, text));
}

/**
 * @param {any} claims
 * @returns {claims is ResponseClaims}
 */
function isResponse(claims) {
  return (
    [claims.iss, claims.sub, claims.chal, claims.jti].every(isText) &&
    isAudience(claims.aud) &&
    [claims.num, claims.doc].every((text) => isAbsentOr(isText, text)) &&
    isDate(claims.iat) &&
    ['accept', 'reject'].includes(claims.dec) &&
    isAbsentOr((why) => ['not_me', 'changed_mind'].includes(why), claims.why)
  );
}

/**
 * Treats null as absent.
 * @param {(value: any) => boolean} is
 * @param {unknown} value
 */
function isAbsentOr(is, value) {
  return value === undefined || value === null || is(value);
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === 'string';
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
