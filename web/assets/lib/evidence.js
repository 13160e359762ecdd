/** Evidence: the proof that a deployment asked exactly this and a key answered exactly that. Checked offline, with the JWKS alone. */

import { challengeHash, verifyChallenge, verifyResponse } from './challenge.js';
import { JoseError, parseJws, publicJwk, thumbprint } from './jose.js';

/** @typedef {'challenge' | 'device' | 'response' | 'chal' | 'sub' | 'aud'} CheckId */
/**
 * @typedef {object} Check
 * @property {CheckId} id stable, to find words for it
 * @property {string} name what was checked
 * @property {boolean} ok
 * @property {string} detail what was found, or why it does not hold
 */
/**
 * What verifying found. Claims are there only when the signature over them holds; whether it is proof is `ok` alone.
 *
 * Nothing in evidence ties a presence key to its device: that tie is the word of whoever handed the keys over.
 * @typedef {object} Verified
 * @property {boolean} ok whether every check holds
 * @property {Check[]} checks in the order they were made; those that need what failed before are not made
 * @property {import('./challenge.js').Challenge} [challenge] what was asked
 * @property {import('./challenge.js').ResponseClaims} [response] what was answered
 * @property {string} [signingKey] thumbprint of the key that answered
 * @property {boolean} [presence] whether it was a key other than the device key
 */

/** @type {Record<CheckId, string>} */
const NAMES = {
  challenge: 'The challenge is signed by the deployment',
  device: 'The device identifier is the thumbprint of the device key',
  response: 'The response is signed by a key of the device',
  chal: 'The response is over the hash of this very challenge',
  sub: 'The response is for this trusonafication',
  aud: 'The response is for this deployment',
};

/**
 * Verifies evidence by the rules of `verify_evidence` in crates/kernel/src/challenge.rs, noting each check.
 * @param {{challenge: string, response: string, keys: unknown[]}} evidence the device key is the first of `keys`
 * @param {import('./jose.js').Jwks} jwks
 * @returns {Promise<Verified>}
 */
export async function verifyEvidence(evidence, jwks) {
  /** @type {Check[]} */
  const checks = [];
  /** @type {(id: CheckId, ok: boolean, detail: string) => void} */
  const note = (id, ok, detail) => void checks.push({ id, name: NAMES[id], ok, detail });

  const challenge = await attempt(() => verifyChallenge(evidence.challenge, jwks));
  if (challenge instanceof JoseError) note('challenge', false, challenge.message);
  else note('challenge', true, signedBy(evidence.challenge));

  const answer = await attempt(() => readAnswer(evidence));
  if (answer instanceof JoseError) {
    note('response', false, answer.message);
    return { ok: false, checks, challenge: found(challenge) };
  }
  const { response, signingKey, device } = answer;
  note('response', true, signedBy(evidence.response));
  note(
    'device',
    response.iss === device,
    response.iss === device ? device : `it is ${response.iss}, the key's is ${device}`,
  );
  const hash = await challengeHash(evidence.challenge);
  note(
    'chal',
    response.chal === hash,
    response.chal === hash ? hash : `the hash is ${hash}, the response has ${response.chal}`,
  );
  if (!(challenge instanceof JoseError)) {
    note('sub', response.sub === challenge.jti, response.sub);
    note('aud', response.aud === challenge.iss, response.aud);
  }
  const ok = checks.every((check) => check.ok);
  return { ok, checks, challenge: found(challenge), response, signingKey, presence: signingKey !== device };
}

/**
 * The response's claims, verified by the key it names, and the thumbprints of that and of the device key.
 * @param {{response: string, keys: unknown[]}} evidence
 */
async function readAnswer(evidence) {
  const compact = parseJws(evidence.response);
  const keys = evidence.keys.map(publicJwk);
  const thumbprints = await Promise.all(keys.map(thumbprint));
  const at = thumbprints.findIndex((name) => name === compact.header.kid);
  if (at < 0) throw new JoseError('UNKNOWN_KEY');
  return { response: await verifyResponse(compact, keys[at]), signingKey: thumbprints[at], device: thumbprints[0] };
}

/** @param {string} jws */
function signedBy(jws) {
  const { alg, kid } = parseJws(jws).header;
  return `${alg}, key ${kid}`;
}

/**
 * @template T
 * @param {() => Promise<T>} make
 * @returns {Promise<T | JoseError>}
 */
async function attempt(make) {
  try {
    return await make();
  } catch (e) {
    if (e instanceof JoseError) return e;
    throw e;
  }
}

/**
 * @template T
 * @param {T | JoseError} outcome
 * @returns {T | undefined}
 */
function found(outcome) {
  return outcome instanceof JoseError ? undefined : outcome;
}
