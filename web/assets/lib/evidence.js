/**
 * Evidence: proves to anyone with the deployment's public keys what was requested, what was answered and how it ended. Implements the rules
 * of `verify_evidence` in crates/kernel/src/evidence.rs, with the wording of tests/vectors/evidence-v1.json.
 */

import { challengeHash, verifyChallenge, verifyResponse } from './challenge.js';
import { JoseError, includes, parseJws, publicJwk, sha256, thumbprint, utf8 } from './jose.js';
import { verifyKeySignature, verifyKeyStatement } from './key_statement.js';
import { isAccepted, isSuccess, verifyReceipt } from './receipt.js';

/** @typedef {import('./challenge.js').Challenge} Challenge */
/** @typedef {import('./challenge.js').ResponseClaims} ResponseClaims */
/** @typedef {import('./receipt.js').Receipt} Receipt */
/**
 * The evidence of an answered trusonafication. Unverified until `verifyEvidence`.
 * @typedef {object} Evidence
 * @property {string} challenge
 * @property {string} response
 * @property {string} [receipt] absent from older deployments
 * @property {unknown[]} keys the device key, then the presence key if one answered
 * @property {string} [key_statement] if the device has one
 * @property {string[]} [key_signatures]
 */
/**
 * What a verifier expects: by default an accept of at least the requested level, by a key that the device itself certifies.
 * @typedef {object} Expected
 * @property {'accept' | 'rejection' | 'any'} [outcome]
 * @property {string} [trusonafication] id
 * @property {string} [party] id of the relying party
 * @property {string} [user]
 * @property {string} [device]
 * @property {number} [level] minimum, whatever level was requested
 * @property {{seconds: number, now: number}} [maxAge] `now` in milliseconds
 * @property {boolean} [allow_uncertified] also accept a key that only the deployment attributes to the device
 */
/** @typedef {'decision' | 'trusonafication' | 'party' | 'user' | 'device' | 'level' | 'age'} Expectation */
/**
 * Who certifies that the key that answered belongs to the device: it is the device key itself, the device in its key statement, or only
 * the deployment.
 * @typedef {{by: 'device_key'} | {by: 'key_statement', seq: number, iat: number, co_signed: boolean} | {by: 'deployment'}} Certification
 */
/** @typedef {'challenge' | 'response' | 'device' | 'answer' | 'receipt' | 'conclusion' | 'key_statement'} CheckId */
/**
 * @typedef {object} Check
 * @property {CheckId} id stable, to look up a text
 * @property {string} name what was checked
 * @property {boolean} ok
 * @property {string} detail what was found, or why the check failed
 */
/**
 * Genuine evidence. `receipt` says how it ended; `response` is what the person signed, which is an accept even if the number was wrong.
 * @typedef {{challenge: Challenge, response: ResponseClaims, receipt: Receipt, certification: Certification}} Proven
 */
/**
 * The result. `verified`: as expected. `unexpected`: genuine, and `differs` lists what differs. `not_proven`: the signatures are valid but do
 * not prove who answered, because there is no receipt (`no_receipt`) or only the deployment attributes the key to the device
 * (`uncertified`). `not_genuine`: the part `fault` is not valid.
 * @typedef {(
 *   | ({verdict: 'verified'} & Proven)
 *   | ({verdict: 'unexpected', differs: Expectation[]} & Proven)
 *   | {verdict: 'not_proven', reason: 'no_receipt', challenge: Challenge, response: ResponseClaims, signingKey: string}
 *   | ({verdict: 'not_proven', reason: 'uncertified'} & Proven)
 *   | {verdict: 'not_genuine', fault: string}
 * ) & {checks: Check[]}} Verified
 */
/** @typedef {import('./jose.js').Jwks} Jwks */
/** @typedef {{challenge: Challenge, response: ResponseClaims, keys: import('./jose.js').PublicJwk[], thumbprints: string[], at: number}} Answer */

/** @type {Record<CheckId, string>} */
const NAMES = {
  challenge: 'The challenge is signed by the deployment',
  response: 'The response is signed by one of the keys',
  device: 'The device identifier is the thumbprint of the device key',
  answer: 'The response is to this very challenge',
  receipt: 'The receipt is signed by the deployment',
  conclusion: 'The receipt is of this challenge, this response and this key',
  key_statement: 'The device itself named the key that answered',
};

/** How far the deployment's clock may be ahead, in seconds. */
const MAX_AHEAD = 60;

/** A part that is not valid: a member of evidence, or a claim such as `receipt.resp`. */
class Fault extends Error {
  /**
   * @param {string} part
   * @param {CheckId} check
   * @param {string} detail
   */
  constructor(part, check, detail) {
    super(detail);
    this.part = part;
    this.check = check;
  }
}

/**
 * Verifies evidence, and records each check up to the first that fails.
 * @param {Evidence} evidence
 * @param {Jwks} jwks the deployment's keys as the verifier knows them, never those in the evidence
 * @param {Expected} [expected]
 * @returns {Promise<Verified>}
 */
export async function verifyEvidence(evidence, jwks, expected = {}) {
  /** @type {Check[]} */
  const checks = [];
  /** @type {(id: CheckId, detail: string) => void} */
  const holds = (id, detail) => void checks.push({ id, name: NAMES[id], ok: true, detail });
  try {
    const answer = await verifyAnswer(evidence, jwks, holds);
    const { challenge, response } = answer;
    const signingKey = answer.thumbprints[answer.at];
    if (evidence.receipt === undefined)
      return { verdict: 'not_proven', reason: 'no_receipt', checks, challenge, response, signingKey };
    const receipt = await verifyConclusion(answer, evidence, jwks, holds);
    const certification = await certify(answer, evidence, receipt, holds);
    const proven = { challenge, response, receipt, certification };
    if (certification.by === 'deployment' && !expected.allow_uncertified)
      return { verdict: 'not_proven', reason: 'uncertified', checks, ...proven };
    const differs = compare(proven, expected);
    if (differs.length > 0) return { verdict: 'unexpected', differs, checks, ...proven };
    return { verdict: 'verified', checks, ...proven };
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause;
    checks.push({ id: cause.check, name: NAMES[cause.check], ok: false, detail: cause.message });
    return { verdict: 'not_genuine', fault: cause.part, checks };
  }
}

/**
 * @param {Evidence} evidence
 * @param {Jwks} jwks
 * @param {(id: CheckId, detail: string) => void} holds
 * @returns {Promise<Answer>}
 */
async function verifyAnswer(evidence, jwks, holds) {
  const challenge = await part('challenge', 'challenge', () => verifyChallenge(evidence.challenge, jwks));
  holds('challenge', signedBy(evidence.challenge));
  const compact = await part('response', 'response', async () => parseJws(evidence.response));
  const keys = await part('response', 'response', async () => evidence.keys.map(publicJwk));
  if (keys.length === 0) throw new Fault('device', 'device', 'there is no key');
  const thumbprints = await Promise.all(keys.map(thumbprint));
  const at = thumbprints.findIndex((name) => name === compact.header.kid);
  if (at < 0) throw new Fault('response', 'response', `there is no key ${compact.header.kid}`);
  const response = await part('response', 'response', () => verifyResponse(compact, keys[at]));
  holds('response', signedBy(evidence.response));
  same('device', 'device', response.iss, thumbprints[0]);
  holds('device', response.iss);
  same('response.chal', 'answer', response.chal, await challengeHash(evidence.challenge));
  same('response.sub', 'answer', response.sub, challenge.jti);
  same('response.aud', 'answer', includes(response.aud, challenge.iss), true);
  holds('answer', response.chal);
  return { challenge, response, keys, thumbprints, at };
}

/**
 * @param {Answer} answer
 * @param {Evidence} evidence
 * @param {Jwks} jwks
 * @param {(id: CheckId, detail: string) => void} holds
 * @returns {Promise<Receipt>}
 */
async function verifyConclusion({ challenge, response, thumbprints, at }, evidence, jwks, holds) {
  const signed = /** @type {string} */ (evidence.receipt);
  const receipt = await part('receipt', 'receipt', () => verifyReceipt(signed, jwks));
  holds('receipt', signedBy(signed));
  const isPresence = thumbprints[at] !== thumbprints[0];
  const hash = await sha256(utf8(evidence.response));
  if (receipt.key === undefined) throw new Fault('receipt.resp', 'conclusion', 'it is of no answer');
  same('receipt.iss', 'conclusion', receipt.iss, challenge.iss);
  same('receipt.sub', 'conclusion', receipt.sub, challenge.jti);
  same('receipt.rp', 'conclusion', receipt.rp, challenge.rp.id);
  same('receipt.chal', 'conclusion', receipt.chal, response.chal);
  same('receipt.resp', 'conclusion', receipt.resp, hash);
  same('receipt.dev', 'conclusion', receipt.dev, response.iss);
  same('receipt.key', 'conclusion', receipt.key.jkt, thumbprints[at]);
  same('receipt.key', 'conclusion', receipt.key.kind !== 'device', isPresence);
  if (!countsAs(response, receipt))
    throw new Fault('receipt.dec', 'conclusion', 'it says of the answer what the answer does not say');
  const provable = !isPresence ? 1 : response.doc === undefined ? 2 : 3;
  if ((receipt.level ?? 0) > provable)
    throw new Fault('receipt.level', 'conclusion', `level ${receipt.level} is more than the key proves`);
  holds('conclusion', hash);
  return receipt;
}

/**
 * Whether the receipt agrees with the response, or records that an accept came with a wrong number.
 * @param {ResponseClaims} response
 * @param {Receipt} receipt
 */
function countsAs(response, receipt) {
  if (response.dec === 'accept' && receipt.dec === 'reject') return receipt.why === 'number_mismatch';
  return receipt.dec === response.dec && receipt.why === (response.dec === 'reject' ? response.why : undefined);
}

/**
 * @param {Answer} answer
 * @param {Evidence} evidence
 * @param {Receipt} receipt
 * @param {(id: CheckId, detail: string) => void} holds
 * @returns {Promise<Certification>}
 */
async function certify({ challenge, keys, thumbprints, at }, evidence, receipt, holds) {
  const { key_statement: signed, key_signatures: signatures = [] } = evidence;
  const statement =
    signed === undefined
      ? undefined
      : await part('key_statement', 'key_statement', () => verifyKeyStatement(signed, keys[0], challenge.iss));
  if (receipt.key?.kind === 'device') return { by: 'device_key' };
  const isNamed = statement?.keys.some(({ kind, jkt }) => kind === receipt.key?.kind && jkt === thumbprints[at]);
  if (!statement || !isNamed) return { by: 'deployment' };
  let coSigned = false;
  for (const signature of signatures) {
    await part('key_signatures', 'key_statement', async () => {
      const compact = parseJws(signature);
      if (compact.header.kid !== thumbprints[at]) return;
      await verifyKeySignature(compact, statement, keys[at]);
      coSigned = true;
    });
  }
  holds('key_statement', `statement ${statement.seq}`);
  return { by: 'key_statement', seq: statement.seq, iat: statement.iat, co_signed: coSigned };
}

/**
 * Lists what differs from the expectations.
 * @param {Proven} proven
 * @param {Expected} expected
 * @returns {Expectation[]}
 */
function compare({ receipt }, expected) {
  const { outcome = 'accept', level, maxAge } = expected;
  /** @type {(expected: string | undefined, found: string | undefined) => boolean} */
  const isSame = (value, found) => value === undefined || value === found;
  const decided = {
    accept: level === undefined ? isSuccess(receipt) : isAccepted(receipt),
    rejection: receipt.status === 'REJECTED',
    any: true,
  };
  const age = maxAge ? maxAge.now / 1000 - receipt.at / 1_000_000 : 0;
  /** @type {[Expectation, boolean][]} */
  const comparisons = [
    ['decision', decided[outcome]],
    ['trusonafication', isSame(expected.trusonafication, receipt.sub)],
    ['party', isSame(expected.party, receipt.rp)],
    ['user', isSame(expected.user, receipt.user)],
    ['device', isSame(expected.device, receipt.dev)],
    ['level', level === undefined || (receipt.level ?? 0) >= level],
    ['age', maxAge === undefined || (age <= maxAge.seconds && age >= -MAX_AHEAD)],
  ];
  return comparisons.filter(([, holds]) => !holds).map(([name]) => name);
}

/** @param {string} jws */
function signedBy(jws) {
  const { alg, kid } = parseJws(jws).header;
  return `${alg}, key ${kid}`;
}

/**
 * @param {string} name
 * @param {CheckId} check
 * @param {unknown} found
 * @param {unknown} demanded
 */
function same(name, check, found, demanded) {
  if (found !== demanded) throw new Fault(name, check, `${name} is ${found}, not ${demanded}`);
}

/**
 * @template T
 * @param {string} name
 * @param {CheckId} check
 * @param {() => Promise<T>} make
 * @returns {Promise<T>}
 */
async function part(name, check, make) {
  try {
    return await make();
  } catch (cause) {
    if (cause instanceof JoseError) throw new Fault(name, check, cause.message);
    throw cause;
  }
}
