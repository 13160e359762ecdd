import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Untrusted } from '../assets/phone/errors.js';
import { readTransferRequest, transfer, transferRequest } from '../assets/phone/transfer.js';
import { Transport } from '../assets/phone/transport.js';
import { signer, vectors2 } from './vectors.js';

const { transfer: vector, keys, issuer } = vectors2;

/**
 * A phone of the vectors at a gateway that gives it this nonce.
 * @param {string} device
 * @param {string | null} presence
 * @param {any} claims
 */
async function phone(device, presence, claims) {
  /** @type {any[]} */
  const sent = [];
  /** @type {string[]} */
  const reasons = [];
  /** @type {import('../assets/phone/transport.js').KeyStore} */
  const store = { deviceKey: keys[device].jwk, sign: await signer(device), presenceKeys: [] };
  if (presence) {
    const sign = await signer(presence);
    const asking = async (/** @type {any} */ m, /** @type {string} */ reason) => (reasons.push(reason), sign(m));
    store.presenceKeys.push({ kind: 'biometric', jwk: keys[presence].jwk, sign: asking });
  }
  const clock = { now: () => (claims.iat ?? 0) * 1000 + 999, sleep: async () => {} };
  const fetch = async (/** @type {any} */ url, /** @type {RequestInit | undefined} */ init) => {
    const call = new Request(url, init);
    const { pathname } = new URL(call.url);
    if (pathname === '/api/v2/device_challenges')
      return Response.json({ nonce: claims.nonce, seq: 1 }, { status: 201 });
    sent.push([pathname, await call.json()]);
    return Response.json({}, { status: 201 });
  };
  const transport = new Transport({ gateway: issuer, origin: issuer, keys: store, clock, fetch });
  return { gateway: issuer, transport, keys: store, sent, reasons };
}

const input = (/** @type {string} */ jws) => jws.slice(0, jws.lastIndexOf('.'));

test('a new phone shows the request of the vectors', async () => {
  const code = await transferRequest(await phone('device_ed25519', null, vector.request.claims));
  assert.equal(input(code), input(vector.request.jws));
});

test('an old phone signs the very claims of the vectors, and says what for', async () => {
  const old = await phone('device_p256', 'presence_p256', vector.statement.claims);
  const request = readTransferRequest(` ${vector.request.jws}\n`);
  assert(request);
  assert.equal(request.device, keys.device_ed25519.thumbprint);
  await transfer(old, request, 'replace');
  const [[path, body]] = old.sent;
  assert.equal(path, '/api/v2/device_transfers');
  assert.equal(input(body.statement), input(vector.statement.jws));
  assert.equal(input(body.signature), input(vector.signature.jws));
  assert.equal(body.request, vector.request.jws);
  assert.deepEqual(old.reasons, ['Move to the new phone']);
});

test('what is no code of a new phone, or another deployment’s, or its own, is not signed', async () => {
  for (const text of ['', 'a.b.c', vectors2.key_statement.jws, vector.statement.jws]) {
    assert.equal(readTransferRequest(text), null);
  }
  const request = readTransferRequest(vector.request.jws);
  assert(request);
  const old = await phone('device_p256', 'presence_p256', vector.statement.claims);
  const own = await phone('device_ed25519', 'presence_p256', vector.statement.claims);
  await assert.rejects(transfer({ ...old, gateway: 'https://else.example' }, request, 'replace'), Untrusted);
  await assert.rejects(transfer(own, request, 'add'), Untrusted);
  assert.deepEqual([...old.sent, ...own.sent], []);
});
