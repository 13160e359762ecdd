/** What verification reads, in more ways of being wrong than the vectors have. */

import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { it } from 'node:test';

import { verifyReceipt, VerificationError, type Jwks } from '../src/index.js';
import { fromBase64, fromBase64url } from '../src/verify/base64.js';
import { isOnEd25519, isSmallOrder } from '../src/verify/ed25519.js';
import { findKey, readKey } from '../src/verify/jwk.js';
import { readObject } from '../src/verify/json.js';

const utf8 = (text: string) => Buffer.from(text);
const ed25519 = generateKeyPairSync('ed25519');
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function published(key: KeyObject, members: object = {}): Jwks {
  return { keys: [{ ...key.export({ format: 'jwk' }), kid: 'k', typs: ['nodkey-receipt+jwt'], ...members }] };
}

const CLAIMS =
  '"iss":"https://auth.example","jti":"r","sub":"t","rp":"p","at":1790000000000000,"status":"EXPIRED","chal":"c"';

/** A receipt with this header and these claims, signed by the key. */
function signed(key: KeyObject, header: string, claims: string): string {
  const input = [header, claims].map((part) => Buffer.from(part).toString('base64url')).join('.');
  const isEd25519 = key.asymmetricKeyType === 'ed25519';
  const signature = sign(
    isEd25519 ? null : 'sha256',
    utf8(input),
    isEd25519 ? key : { key, dsaEncoding: 'ieee-p1363' },
  );
  return `${input}.${signature.toString('base64url')}`;
}

const HEADER = '{"alg":"EdDSA","typ":"nodkey-receipt+jwt","kid":"k"}';

async function reasonOf(receipt: string, jwks: Jwks): Promise<string> {
  const error = await verifyReceipt(receipt, { jwks }).then(
    () => new Error('it verifies'),
    (thrown: unknown) => thrown,
  );
  return error instanceof VerificationError ? error.reason : String(error);
}

it('reads_what_is_signed_by_either_algorithm', async () => {
  const jwks = published(ed25519.publicKey);
  assert.equal((await verifyReceipt(signed(ed25519.privateKey, HEADER, `{${CLAIMS}}`), { jwks })).sub, 't');
  const renamed = HEADER.replace('EdDSA', 'Ed25519');
  assert.equal((await verifyReceipt(signed(ed25519.privateKey, renamed, `{${CLAIMS}}`), { jwks })).sub, 't');
  const es256 = signed(p256.privateKey, HEADER.replace('EdDSA', 'ES256'), `{${CLAIMS}}`);
  assert.equal((await verifyReceipt(es256, { jwks: published(p256.publicKey) })).status, 'EXPIRED');
});

it('refuses_members_that_are_repeated_wherever_they_are', async () => {
  const jwks = published(ed25519.publicKey);
  const reason = (header: string, claims: string) => reasonOf(signed(ed25519.privateKey, header, claims), jwks);
  assert.equal(await reason(HEADER.replace('{', '{"kid":"other",'), `{${CLAIMS}}`), 'malformed');
  assert.equal(await reason(HEADER, `{"status":"ACCEPTED",${CLAIMS}}`), 'wrong_claims');
  assert.equal(await reason(HEADER, `{"st\\u0061tus":"ACCEPTED",${CLAIMS}}`), 'wrong_claims');
  assert.equal(await reason(HEADER, `{${CLAIMS},"key":{"jkt":"a","jkt":"b"}}`), 'wrong_claims');
});

it('refuses_text_that_is_no_unicode_and_json_that_is_none', async () => {
  const jwks = published(ed25519.publicKey);
  const reason = (claims: string) => reasonOf(signed(ed25519.privateKey, HEADER, claims), jwks);
  assert.equal(await reason(`{${CLAIMS.replace('"p"', '"\\ud800"')}}`), 'wrong_claims');
  assert.equal(await reason(`\ufeff{${CLAIMS}}`), 'wrong_claims');
  assert.equal(await reason(`[{${CLAIMS}}]`), 'wrong_claims');
  assert.equal(await reason(`{${CLAIMS}} `), 'Error: it verifies');
});

it('uses_no_key_that_is_not_published_for_this', async () => {
  const receipt = signed(ed25519.privateKey, HEADER, `{${CLAIMS}}`);
  const refused: object[] = [
    { typs: ['nodkey-challenge+jwt'] },
    { typs: undefined },
    { typs: null },
    { typs: 'nodkey-receipt+jwt' },
    { typs: ['nodkey-receipt+jwt', 5] },
    { revoked: { revoked_at: 1 } },
    { revoked: null },
    { kid: 'another' },
    { use: 'enc' },
    { alg: 'ES256' },
    { d: 'c2VjcmV0' },
    { k: 'c2VjcmV0' },
    { kty: 'oct' },
    { crv: 'X25519' },
    { x: 5 },
  ];
  for (const members of refused) {
    assert.equal(
      await reasonOf(receipt, published(ed25519.publicKey, members)),
      'unknown_key',
      JSON.stringify(members),
    );
  }
  for (const keys of [[], [null], ['k'], [{ kid: 'k' }]])
    assert.equal(await reasonOf(receipt, { keys }), 'unknown_key');
});

it('reads_no_key_that_is_not_on_its_curve_or_proves_nothing', () => {
  const { x = '', y = '' } = p256.publicKey.export({ format: 'jwk' });
  assert.ok(readKey({ kty: 'EC', crv: 'P-256', x, y }));
  for (const other of [{ y: x }, { x: `${x}=` }, { x: x.slice(1) }, { crv: 'P-384' }, { y: undefined }]) {
    assert.equal(readKey({ kty: 'EC', crv: 'P-256', x, y, ...other }), undefined);
  }
  const okp = (bytes: Uint8Array) =>
    readKey({ kty: 'OKP', crv: 'Ed25519', x: Buffer.from(bytes).toString('base64url') });
  // One, minus one, zero, and eight points in all whose multiples are few.
  for (const first of [0, 1]) assert.equal(okp(Uint8Array.of(first, ...Array<number>(31).fill(0))), undefined);
  // No point has this y.
  assert.equal(okp(Uint8Array.of(2, ...Array<number>(31).fill(0))), undefined);
  assert.equal(
    findKey({ keys: [{ kid: 'k', typs: ['t'], kty: 'OKP', crv: 'Ed25519', x: 'AA' }] }, 'k', 't'),
    undefined,
  );
});

it('knows_the_points_of_ed25519', () => {
  for (let n = 0; n < 20; n += 1) {
    const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
    const point = Buffer.from(x, 'base64url');
    assert.ok(isOnEd25519(point) && !isSmallOrder(point), x);
  }
  // RFC 8032: half of all values of y belong to no point.
  const on = Array.from({ length: 200 }, (_, y) => isOnEd25519(Uint8Array.of(y, ...Array<number>(31).fill(0)))).filter(
    Boolean,
  );
  assert.ok(on.length > 60 && on.length < 140, String(on.length));
});

it('decodes_only_the_canonical_form', () => {
  assert.deepEqual(fromBase64url('-_8'), Buffer.from([0xfb, 0xff]));
  for (const text of ['-_8=', '-_9', '+/8', '-_8 ', '-\n_8', 'A', '*'])
    assert.equal(fromBase64url(text), undefined, text);
  assert.deepEqual(fromBase64('+/8='), Buffer.from([0xfb, 0xff]));
  for (const text of ['+/8', '-_8=', '+/9=', '+/8=\n', '+/8==']) assert.equal(fromBase64(text), undefined, text);
});

it('keeps_the_characters_of_members', () => {
  const json = '{ "a" : {"b": [1, {"c": "}\\",{"}], "n": 1.50e3} ,"\\u0064":"x:y" , "e":[ ],"f":null}';
  const read = readObject(utf8(json));
  assert.deepEqual(
    [...(read?.text ?? [])],
    [
      ['a', '{"b": [1, {"c": "}\\",{"}], "n": 1.50e3}'],
      ['d', '"x:y"'],
      ['e', '[ ]'],
      ['f', 'null'],
    ],
  );
  assert.deepEqual([...(readObject(utf8('{}'))?.text ?? [])], []);
  assert.equal(readObject(utf8('{"a":{"b":1,"b":2}}')), undefined);
  assert.equal(readObject(utf8('{"a":[{"b":1},{"b":2}]}'))?.text.get('a'), '[{"b":1},{"b":2}]');
  assert.equal(readObject(utf8('{"a":{"b":1,"b":2}}'), ['a'])?.text.get('a'), '{"b":1,"b":2}');
  assert.equal(readObject(utf8('{"a":1,"a":2}'), ['a']), undefined);
});
