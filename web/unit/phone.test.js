import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { plain, plainLines } from '../assets/lib/plain.js';
import { serverEvents } from '../assets/lib/sse.js';
import { md5 } from '../assets/phone/md5.js';
import { proof } from '../assets/phone/transport.js';
import { mac, stringToSign } from '../assets/phone/trusona_mac.js';
import { collect } from './gateway.js';
import { signer, vectors } from './vectors.js';

const SECRET =
  '7f1dd753b6fa473d07c99b56d43bd5da3cd928487d5022e1810fab96c70945b01ad2603585542d33a1383b1f14b5880373474ff40c76a38df19052cefeb3a3eb';
const DATE = 'Thu, 03 Jan 2019 17:57:07 GMT';
const NOTHING = new Uint8Array();

/** @param {string} text */
const bytes = (text) => new TextEncoder().encode(text);

/** @param {string} signature */
const hexOf = (signature) => atob(signature);

/** @param {string[]} pieces */
const streaming = (...pieces) => new Response(new Blob(pieces).stream());

test('MD5 is that of everybody else, at every length around a block', () => {
  assert.equal(md5(NOTHING), 'd41d8cd98f00b204e9800998ecf8427e');
  for (const length of [1, 55, 56, 57, 63, 64, 65, 119, 120, 121, 322, 70_000]) {
    const some = Uint8Array.from({ length }, (_, i) => (i * 31 + length) % 256);
    assert.equal(md5(some), createHash('md5').update(some).digest('hex'), `${length} bytes`);
  }
});

test('the published TRUSONA vectors sign as recorded', async () => {
  const text = stringToSign({
    method: 'GET',
    body: NOTHING,
    contentType: 'application/json',
    date: 'Tue, 27 Jun 2017 18:03:47 GMT',
    path: '/test/auth?blah=blah',
  });
  const published = 'YTgwNDgzNGRjNTA0YjBkYWJmNmFlMzU0MjJiNmRmYTRjNjk5NTQxMDk3MGFkN2YzZjlmZTYyMjdlMTlkNjc4Zg==';
  assert.equal(await mac(SECRET, text), published);
  const empty = stringToSign({ method: '', body: NOTHING, contentType: '', date: '', path: '' });
  assert.equal(
    await mac('tacos', empty),
    'MjBmYmFkMzI3NTA2MWE3N2ViZDA1ZGFmNTU4NWMyYWIyZjVlNDY0NzIyNDVmNGJkZTdjMThhNDgwNzBmYjg2Mg==',
  );
  assert.equal(
    await mac('key', 'data'),
    'NTAzMWZlM2Q5ODljNmQxNTM3YTAxM2ZhNmU3MzlkYTIzNDYzZmRhZWMzYjcwMTM3ZDgyOGUzNmFjZTIyMWJkMA==',
  );
});

test('bodies and queries sign as recorded', async () => {
  const body = bytes('{"user_identifier":"u","device_identifier":"d"}');
  const bind = { method: 'POST', body, contentType: 'application/json', date: DATE, path: '/api/v2/user_devices' };
  const bound = await mac(SECRET, stringToSign(bind));
  assert.equal(hexOf(bound), 'e80062163f7e1017508dd5c2fd009fe8c95e8c008f8fffe61d61d7bf2a2790e5');
  const path = '/api/v2/identity_documents?user_identifier=a%20b';
  const read = await mac(SECRET, stringToSign({ method: 'GET', body: NOTHING, contentType: '', date: DATE, path }));
  assert.equal(hexOf(read), '192fc895434d926b8ddaee170a4ce804ca8c286141ba32e3134642b238847e9b');
});

test('a proof has the claims of the vectors, and of EdDSA its very bytes', async () => {
  for (const { body, claims, jws, by } of vectors.dpop) {
    const made = await proof({
      keys: { deviceKey: vectors.keys[by].jwk, sign: await signer(by), presenceKeys: [] },
      method: claims.htm,
      url: claims.htu,
      body: bytes(body),
      now: claims.iat * 1000 + 999,
      random: (length) => new Uint8Array(length),
    });
    const [input] = /.*(?=\.)/.exec(jws) ?? [];
    assert.equal(/.*(?=\.)/.exec(made)?.[0], input);
    if (vectors.keys[by].alg === 'EdDSA') assert.equal(made, jws);
  }
});

test('a proof of a call without a body has no hash of one', async () => {
  const keys = { deviceKey: vectors.keys.device_p256.jwk, sign: await signer('device_p256'), presenceKeys: [] };
  const random = (/** @type {number} */ length) => new Uint8Array(length);
  const made = await proof({ keys, method: 'GET', url: 'https://gw.example/x', body: NOTHING, now: 0, random });
  const claims = JSON.parse(Buffer.from(made.split('.')[1], 'base64url').toString());
  assert.deepEqual(Object.keys(claims), ['jti', 'htm', 'htu', 'iat']);
});

test('server-sent events come whole, however they are cut', async () => {
  const text = ': alive\n\nevent: closed\ndata: {"id":"ä"}\n\ndata:a\r\ndata: b\r\n\r\nevent: half\ndata: x';
  const expected = [
    { event: 'closed', data: '{"id":"ä"}' },
    { event: 'message', data: 'a\nb' },
  ];
  let alive = 0;
  for (const pieces of [
    [text],
    [...text],
    text
      .split('\n')
      .map((line) => `${line}\n`)
      .slice(0, -1),
  ]) {
    const events = await collect(serverEvents(streaming(...pieces), () => void (alive += 1)));
    assert.deepEqual(events, expected);
  }
  assert(alive >= 3);
});

test('an event without an end is given up', async () => {
  const endless = streaming('data: ', 'x'.repeat(3 << 20));
  await assert.rejects(collect(serverEvents(endless)), RangeError);
});

test('characters that hide or turn text are made visible, letters stay', () => {
  assert.equal(plain('Zürich 北京 שלום 90.00 €'), 'Zürich 北京 שלום 90.00 €');
  assert.equal(plain('pay \u202e001'), 'pay [U+202E]001');
  assert.equal(plain('a\nb\tc\u001b[31m'), 'a↵b[U+0009]c[U+001B][31m');
  assert.equal(
    plain('a\u200bb\u00adc\ufeff\u2028\u{e0041}\ud800'),
    'a[U+200B]b[U+00AD]c[U+FEFF][U+2028][U+E0041][U+D800]',
  );
  for (const joined of ['می\u200cخواهم', 'ශ්\u200dරී', '👨\u200d👩\u200d👧', '👩🏽\u200d💻', '🏳️\u200d🌈'])
    assert.equal(plain(joined), joined);
  assert.equal(plain('1\u200d2 \u200ca\u200d'), '1[U+200D]2 [U+200C]a[U+200D]');
});

test('a text of several lines keeps its lines and tabs, and nothing else that hides or turns text', () => {
  assert.equal(plainLines('{\n  "a": "\u202eb"\r\n\tc\u200b\rd\n}'), '{\n  "a": "[U+202E]b"\n\tc[U+200B][U+000D]d\n}');
});
