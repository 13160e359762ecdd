import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { RESPONSE_TYP, challengeHash, verifyChallenge } from '../assets/lib/challenge.js';
import { verifyEvidence } from '../assets/lib/evidence.js';
import { signJws } from '../assets/lib/jose.js';
import { jwks, signer, vectors, vectors2 } from './vectors.js';

const challenge = vectors.challenge.jws;
const [, byPresence] = vectors.responses;
/** @param {string} name */
const jwk = (name) => vectors.keys[name].jwk;
const good = { challenge, response: byPresence.jws, keys: [jwk('device_p256'), jwk('presence_p256')] };

/** @type {any} */
const evidence = JSON.parse(readFileSync(new URL('../../tests/vectors/evidence-v1.json', import.meta.url), 'utf8'));

/** @param {import('../assets/lib/evidence.js').Verified} verified */
const fault = (verified) => verified.verdict === 'not_genuine' && verified.fault;

/**
 * A response of the P-256 device with other claims.
 * @param {object} claims
 * @param {object} [header]
 */
async function respond(claims, header) {
  const kid = vectors.keys.device_p256.thumbprint;
  const whole = { alg: 'ES256', typ: RESPONSE_TYP, kid, ...header };
  return signJws(whole, { ...byPresence.claims, ...claims }, await signer('device_p256'));
}

test('the challenge of the vectors verifies and has its hash', async () => {
  assert.deepEqual(await verifyChallenge(challenge, jwks), vectors.challenge.claims);
  assert.equal(await challengeHash(challenge), vectors.challenge.chal);
});

test('every challenge of the vectors verifies, whatever number it asks for and whoever asks', async () => {
  for (const { name, jws, claims } of vectors2.challenges) {
    assert.deepEqual(await verifyChallenge(jws, jwks), claims, name);
  }
});

test('a response holds in every spelling of the standards', async () => {
  const { iat, aud } = byPresence.claims;
  for (const claims of [{ iat: iat + 0.75 }, { aud: ['https://else.example', aud] }, { why: null, num: null }]) {
    const response = await respond(claims);
    const verified = await verifyEvidence({ ...good, keys: [jwk('device_p256')], response }, jwks);
    assert.equal(verified.verdict, 'not_proven', JSON.stringify(claims));
  }
  const response = await respond({ aud: ['https://else.example'] });
  assert.equal(fault(await verifyEvidence({ ...good, keys: [jwk('device_p256')], response }, jwks)), 'response.aud');
});

test('evidence is what the vectors say of it', async () => {
  assert.ok(evidence.cases.length > 60);
  for (const {
    name,
    jwks,
    expected,
    evidence: found,
    verdict,
    reason,
    differs,
    fault,
    certification,
  } of evidence.cases) {
    const { max_age: seconds, ...rest } = expected;
    const maxAge = seconds && { seconds, now: Date.parse(evidence.now) };
    const verified = await verifyEvidence(found, evidence.jwks[jwks], { ...rest, maxAge });
    const { reason: why, differs: others, fault: part, certification: by } = /** @type {any} */ (verified);
    assert.deepEqual([verified.verdict, why, others, part, by], [verdict, reason, differs, fault, certification], name);
    assert.equal(
      verified.checks.every((check) => check.ok),
      verdict !== 'not_genuine',
      name,
    );
    assert.equal('receipt' in verified, reason === 'uncertified' || ['verified', 'unexpected'].includes(verdict), name);
  }
});

test('genuine evidence shows everything that was signed, and each check', async () => {
  const { evidence: found } = evidence.cases.find((/** @type {any} */ { name }) => name === 'accepted');
  const verified = await verifyEvidence(found, evidence.jwks.now);
  assert.ok(verified.verdict === 'verified');
  /** @param {string} jws */
  const claims = (jws) => JSON.parse(Buffer.from(jws.split('.')[1], 'base64url').toString());
  assert.deepEqual(verified.challenge, claims(found.challenge));
  assert.deepEqual(verified.response, claims(found.response));
  for (const [name, value] of Object.entries(claims(found.receipt))) {
    assert.deepEqual(/** @type {any} */ (verified.receipt)[name], value);
  }
  const ids = ['challenge', 'response', 'device', 'answer', 'receipt', 'conclusion', 'key_statement'];
  assert.deepEqual(
    verified.checks.map((check) => check.id),
    ids,
  );
});

test('answers without a receipt are not proven, whatever they say', async () => {
  for (const answer of vectors.responses) {
    const names = answer.device ? [answer.device, answer.by] : [answer.by];
    const found = { challenge, response: answer.jws, keys: names.map(jwk) };
    for (const outcome of /** @type {const} */ (['accept', 'rejection', 'any'])) {
      const verified = await verifyEvidence(found, jwks, { outcome });
      assert.ok(verified.verdict === 'not_proven' && verified.reason === 'no_receipt');
      assert.deepEqual(verified.response, answer.claims);
      assert.equal(verified.signingKey, vectors.keys[answer.by].thumbprint);
    }
  }
});

test('a response to anything else fails, and says which claim', async () => {
  for (const [part, claims] of Object.entries({
    device: { iss: 'x' },
    'response.chal': { chal: 'x' },
    'response.sub': { sub: 'x' },
    'response.aud': { aud: 'https://other.example' },
  })) {
    assert.equal(fault(await verifyEvidence({ ...good, response: await respond(claims) }, jwks)), part);
  }
});

test('claims of another shape are no response, and other keys are none', async () => {
  for (const claims of [{ dec: 'maybe' }, { why: 'bored' }, { iat: '1' }, { num: 7 }]) {
    assert.equal(fault(await verifyEvidence({ ...good, response: await respond(claims) }, jwks)), 'response');
  }
  const otherType = await respond({}, { typ: 'JWT' });
  assert.equal(fault(await verifyEvidence({ ...good, response: otherType }, jwks)), 'response');
  assert.equal(fault(await verifyEvidence({ ...good, keys: [{ kty: 'RSA' }] }, jwks)), 'response');
  assert.equal(fault(await verifyEvidence(good, { keys: [] })), 'challenge');
});
