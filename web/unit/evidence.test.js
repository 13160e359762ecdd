import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RESPONSE_TYP, challengeHash, verifyChallenge } from '../assets/lib/challenge.js';
import { verifyEvidence } from '../assets/lib/evidence.js';
import { signJws } from '../assets/lib/jose.js';
import { jwks, signer, vectors } from './vectors.js';

const challenge = vectors.challenge.jws;
const [byEd25519, byPresence, rejected] = vectors.responses;
/** @param {string} name */
const jwk = (name) => vectors.keys[name].jwk;
const good = { challenge, response: byPresence.jws, keys: [jwk('device_p256'), jwk('presence_p256')] };

/** @param {import('../assets/lib/evidence.js').Verified} verified */
const failed = (verified) => verified.checks.filter((check) => !check.ok).map((check) => check.id);

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

test('every answer of the vectors is good evidence', async () => {
  for (const [answer, keys, presence] of [
    [byEd25519, ['device_ed25519'], false],
    [byPresence, ['device_p256', 'presence_p256'], true],
    [rejected, ['device_p256'], false],
  ]) {
    const verified = await verifyEvidence({ challenge, response: answer.jws, keys: keys.map(jwk) }, jwks);
    assert.deepEqual(failed(verified), []);
    assert.equal(verified.ok, true);
    assert.equal(verified.checks.length, 6);
    assert.deepEqual(verified.challenge, vectors.challenge.claims);
    assert.deepEqual(verified.response, answer.claims);
    assert.equal(verified.signingKey, vectors.keys[answer.by].thumbprint);
    assert.equal(verified.presence, presence);
  }
});

test('evidence of another deployment shows nothing of the challenge', async () => {
  const verified = await verifyEvidence(good, { keys: [{ ...jwk('device_ed25519'), kid: jwks.keys[0].kid }] });
  assert.deepEqual(failed(verified), ['challenge']);
  assert.equal(verified.ok, false);
  assert.equal(verified.challenge, undefined);
  assert.deepEqual(failed(await verifyEvidence(good, { keys: [] })), ['challenge']);
});

test('a changed challenge fails, and the response is not over it', async () => {
  const [header, , signature] = challenge.split('.');
  const claims = { ...vectors.challenge.claims, res: 'EUR 9000.00 to ACME GmbH' };
  const changed = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`;
  const verified = await verifyEvidence({ ...good, challenge: changed }, jwks);
  assert.deepEqual(failed(verified), ['challenge', 'chal']);
  assert.equal(verified.challenge, undefined);
});

test('a response by no key of the device fails and shows no answer', async () => {
  for (const keys of [[], [jwk('device_p256')], [{ kty: 'RSA' }]]) {
    const verified = await verifyEvidence({ ...good, keys }, jwks);
    assert.deepEqual(failed(verified), ['response']);
    assert.equal(verified.response, undefined);
  }
  const kid = vectors.keys.presence_p256.thumbprint;
  const stolen = await verifyEvidence({ ...good, response: await respond({}, { kid }) }, jwks);
  assert.deepEqual(failed(stolen), ['response']);
});

test('the first key has to be the device', async () => {
  const verified = await verifyEvidence({ ...good, keys: [...good.keys].reverse() }, jwks);
  assert.deepEqual(failed(verified), ['device']);
});

test('a response to anything else fails, and says which claim', async () => {
  for (const [id, claims] of Object.entries({
    device: { iss: 'x' },
    chal: { chal: 'x' },
    sub: { sub: 'x' },
    aud: { aud: 'https://other.example' },
  })) {
    const verified = await verifyEvidence({ ...good, response: await respond(claims) }, jwks);
    assert.deepEqual(failed(verified), [id]);
    assert.equal(verified.ok, false);
  }
});

test('claims of another shape are no response', async () => {
  for (const claims of [{ dec: 'maybe' }, { why: 'bored' }, { iat: '1' }, { num: 7 }]) {
    assert.deepEqual(failed(await verifyEvidence({ ...good, response: await respond(claims) }, jwks)), ['response']);
  }
  const otherType = await respond({}, { typ: 'JWT' });
  assert.deepEqual(failed(await verifyEvidence({ ...good, response: otherType }, jwks)), ['response']);
});
