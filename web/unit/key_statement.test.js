import assert from 'node:assert/strict';
import { test } from 'node:test';

import { verifyEvidence } from '../assets/lib/evidence.js';
import { parseJws } from '../assets/lib/jose.js';
import { verifyKeySignature, verifyKeyStatement } from '../assets/lib/key_statement.js';
import { Transport } from '../assets/phone/transport.js';
import { vouch } from '../assets/phone/vouching.js';
import { signer, vectors2 } from './vectors.js';

const { key_statement: vector, keys, issuer } = vectors2;

test('the key statement of the vectors, and every signature over it, verify', async () => {
  assert.deepEqual(await verifyKeyStatement(vector.jws, keys[vector.by].jwk, issuer), vector.claims);
  for (const { jws, by } of vector.signatures) await verifyKeySignature(parseJws(jws), vector.claims, keys[by].jwk);
});

for (const { name, verdict, fault, certified_by: certifiedBy, evidence } of vectors2.evidence) {
  test(`evidence of a phone: ${name}`, async () => {
    /** @type {any} */
    const found = await verifyEvidence(evidence, vectors2.jwks);
    assert.deepEqual([found.verdict, found.fault, found.certification?.by], [verdict, fault, certifiedBy]);
  });
}

test('a phone signs the very claims of the vectors', async () => {
  /** @type {import('../assets/phone/transport.js').KeyStore} */
  const store = { deviceKey: keys.device_p256.jwk, sign: await signer('device_p256'), presenceKeys: [] };
  for (const [kind, name] of /** @type {const} */ ([
    ['biometric', 'presence_p256'],
    ['credential', 'credential_p256'],
  ])) {
    store.presenceKeys.push({ kind, jwk: keys[name].jwk, sign: await signer(name) });
  }
  const { nonce, seq, iat } = vector.claims;
  const clock = { now: () => iat * 1000 + 999, sleep: async () => {} };
  const fetch = async () => Response.json({ nonce, seq }, { status: 201 });
  const transport = new Transport({ gateway: issuer, origin: issuer, keys: store, clock, fetch });
  const made = await vouch({ gateway: issuer, transport, keys: store });
  const input = (/** @type {string} */ jws) => jws.slice(0, jws.lastIndexOf('.'));
  assert.equal(input(String(made.key_statement)), input(vector.jws));
  assert.deepEqual(
    made.key_signatures?.map(input),
    vector.signatures.map((/** @type {{jws: string}} */ { jws }) => input(jws)),
  );
  assert.deepEqual(await verifyKeyStatement(String(made.key_statement), keys.device_p256.jwk, issuer), vector.claims);
});
