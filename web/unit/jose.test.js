import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  JoseError,
  algorithm,
  b64u,
  b64uDecode,
  findKey,
  includes,
  isAudience,
  isDate,
  parseJws,
  publicJwk,
  signJws,
  thumbprint,
  utf8,
  verifyJws,
} from '../assets/lib/jose.js';
import { jwks, signer, vectors } from './vectors.js';

const CHALLENGE = 'nodkey-challenge+jwt';

const DPOP = 'dpop+jwt';
const example = vectors.dpop[0];

/**
 * @param {string} code
 * @returns {(e: unknown) => boolean}
 */
const code = (code) => (e) => e instanceof JoseError && e.code === code;

/** @param {object} part */
const encode = (part) => b64u(utf8(JSON.stringify(part)));

test('base64url has one spelling', () => {
  for (const text of ['', 'AA', '_-8', 'AQEBAQ']) assert.equal(b64u(b64uDecode(text)), text);
  for (const bad of ['A', 'AA==', 'A+', 'A/', 'AB', ' AA', 'AA\n'])
    assert.throws(() => b64uDecode(bad), code('BASE64'), bad);
});

test('keys of the vectors have their thumbprints', async () => {
  for (const { jwk, thumbprint: expected, alg } of Object.values(vectors.keys)) {
    assert.equal(await thumbprint(jwk), expected);
    assert.equal(algorithm(jwk), alg);
  }
});

test('a key that is none is refused', () => {
  const { jwk } = vectors.keys.device_p256;
  const bad = [
    null,
    'text',
    {},
    { ...jwk, d: 'AA' },
    { ...jwk, crv: 'P-384' },
    { ...jwk, x: 'AA' },
    { ...jwk, y: undefined },
    { ...jwk, alg: 'EdDSA' },
    { ...jwk, use: 'enc' },
    { kty: 'RSA', n: 'AQAB', e: 'AQAB' },
    { kty: 'oct', k: 'AQAB' },
    { kty: 'OKP', crv: 'Ed25519', x: b64u(new Uint8Array(32)) },
  ];
  for (const value of bad) assert.throws(() => publicJwk(value), code('KEY'), JSON.stringify(value));
  assert.deepEqual(publicJwk({ ...jwk, alg: 'ES256', use: 'sig', kid: 'x', ext: true }), jwk);
  assert.deepEqual(publicJwk({ ...jwk, alg: null, use: null, d: null }), jwk);
  const okp = vectors.keys.device_ed25519.jwk;
  assert.deepEqual(publicJwk({ ...okp, alg: 'Ed25519' }), okp);
  assert.throws(() => publicJwk({ ...jwk, alg: 'Ed25519' }), code('KEY'));
});

test('a P-256 point off the curve verifies nothing', async () => {
  const { jwk } = vectors.keys.device_p256;
  const compact = parseJws(vectors.dpop[1].jws);
  await assert.rejects(verifyJws(compact, { ...jwk, y: jwk.x }, DPOP), code('KEY'));
});

test('the vectors verify, each by its own key', async () => {
  for (const { jws, claims, by } of vectors.dpop) {
    assert.deepEqual(await verifyJws(parseJws(jws), vectors.keys[by].jwk, DPOP), claims);
  }
  const [ed25519, p256] = vectors.dpop.map((/** @type {{jws: string}} */ { jws }) => parseJws(jws));
  await assert.rejects(verifyJws(ed25519, vectors.keys.server_ed25519.jwk, DPOP), code('SIGNATURE'));
  await assert.rejects(verifyJws(p256, vectors.keys.presence_p256.jwk, DPOP), code('SIGNATURE'));
  await assert.rejects(verifyJws(p256, vectors.keys.device_ed25519.jwk, DPOP), code('ALGORITHM'));
  await assert.rejects(verifyJws(p256, vectors.keys.device_p256.jwk, 'JWT'), code('TYPE'));
});

test('any changed character breaks it', async () => {
  const { jws, by } = example;
  for (const at of [jws.indexOf('.') + 5, jws.lastIndexOf('.') + 5]) {
    const changed = jws.slice(0, at) + (jws[at] === 'A' ? 'B' : 'A') + jws.slice(at + 1);
    await assert.rejects(async () => verifyJws(parseJws(changed), vectors.keys[by].jwk, DPOP), JoseError);
  }
});

test('signing EdDSA makes the bytes of the vector', async () => {
  const { jwk } = vectors.keys.device_ed25519;
  const header = { alg: 'EdDSA', typ: DPOP, jwk };
  assert.equal(await signJws(header, example.claims, await signer('device_ed25519')), example.jws);
});

test('what is signed verifies', async () => {
  const { jwk } = vectors.keys.device_p256;
  const jws = await signJws({ alg: 'ES256', typ: DPOP, jwk }, { a: 'ä' }, await signer('device_p256'));
  assert.deepEqual(await verifyJws(parseJws(jws), jwk, DPOP), { a: 'ä' });
});

test('Ed25519 is EdDSA by another name, of Ed25519 keys alone, and null members are absent', async () => {
  const { jwk } = vectors.keys.device_ed25519;
  const renamed = { alg: 'Ed25519', typ: DPOP, kid: null, jwk: null };
  const header = /** @type {import('../assets/lib/jose.js').Header} */ (/** @type {unknown} */ (renamed));
  const jws = await signJws(header, { a: 1, b: null }, await signer('device_ed25519'));
  assert.deepEqual(await verifyJws(parseJws(jws), jwk, DPOP), { a: 1 });
  const p256 = await signJws({ alg: 'Ed25519', typ: DPOP }, {}, await signer('device_p256'));
  await assert.rejects(verifyJws(parseJws(p256), vectors.keys.device_p256.jwk, DPOP), code('ALGORITHM'));
});

test('a date is a number and an audience is one or a list', () => {
  for (const date of [1, 1.5, 0, -1]) assert.ok(isDate(date), `${date}`);
  for (const none of ['1', null, undefined, NaN, Infinity, 2 ** 54]) assert.ok(!isDate(none), `${none}`);
  for (const audience of ['a', ['a'], ['b', 'a']]) assert.ok(isAudience(audience) && includes(audience, 'a'));
  for (const audience of ['b', 'a b', [], ['b']]) assert.ok(isAudience(audience) && !includes(audience, 'a'));
  for (const none of [null, 1, ['a', 1], {}]) assert.ok(!isAudience(none));
});

test('what is no compact JWS is refused', () => {
  const [header, payload, signature] = example.jws.split('.');
  const headers = [{ alg: 'EdDSA', crit: null }, { typ: DPOP }, { alg: 'EdDSA', kid: 1 }, ['EdDSA']];
  const bad = [
    '',
    'a.b',
    `${example.jws}.`,
    `${header}..`.slice(0, -1),
    'x'.repeat(3 << 19) + example.jws,
    ...headers.map((value) => `${encode(value)}.${payload}.${signature}`),
  ];
  for (const jws of bad) assert.throws(() => parseJws(jws), code('MALFORMED'), jws.slice(0, 60));
  assert.throws(() => parseJws(`${encode({ alg: 'EdDSA', jwk: {} })}.${payload}.${signature}`), code('KEY'));
  assert.throws(() => parseJws(`${header}.${payload}.=`), code('BASE64'));
});

test('none and other algorithms never verify', async () => {
  const [, payload, signature] = example.jws.split('.');
  for (const alg of ['none', 'HS256', 'RS256', 'ES384']) {
    const compact = parseJws(`${encode({ alg, typ: DPOP })}.${payload}.${signature}`);
    await assert.rejects(verifyJws(compact, vectors.keys.device_ed25519.jwk, DPOP), code('ALGORITHM'));
  }
});

test('a signature whose point is of small order is refused', async () => {
  const [header, payload] = example.jws.split('.');
  const compact = parseJws(`${header}.${payload}.${b64u(new Uint8Array(64))}`);
  await assert.rejects(verifyJws(compact, vectors.keys.device_ed25519.jwk, DPOP), code('SIGNATURE'));
});

test('a JWKS finds by kid and passes over what it does not know', () => {
  const { jwk, thumbprint: kid } = vectors.keys.server_ed25519;
  const mixed = { keys: [null, { kty: 'RSA', kid: 'other' }, ...jwks.keys] };
  assert.deepEqual(findKey(mixed, kid, CHALLENGE), jwk);
  assert.throws(() => findKey(mixed, 'nobody', CHALLENGE), code('UNKNOWN_KEY'));
  assert.throws(() => findKey({ keys: [jwk] }, undefined, CHALLENGE), code('UNKNOWN_KEY'));
});

test('a key signs the types it names, and one that names none signs what was signed before', () => {
  const { jwk, thumbprint: kid } = vectors.keys.server_ed25519;
  const receipt = 'nodkey-receipt+jwt';
  /** @param {object} [members] */
  const set = (members) => ({ keys: [{ ...jwk, kid, ...members }] });
  for (const typ of [CHALLENGE, 'nodkey-result+jwt', 'nodkey-device+jwt', 'nodkey-trucode+jwt']) {
    assert.deepEqual(findKey(set(), kid, typ), jwk);
  }
  assert.throws(() => findKey(set(), kid, receipt), code('UNKNOWN_KEY'));
  assert.deepEqual(findKey(set({ typs: [receipt] }), kid, receipt), jwk);
  for (const members of [
    { typs: [receipt] },
    { typs: [] },
    { typs: null },
    { typs: CHALLENGE },
    { typs: [1] },
    { revoked: {} },
  ]) {
    assert.throws(() => findKey(set(members), kid, CHALLENGE), code('UNKNOWN_KEY'));
  }
});
