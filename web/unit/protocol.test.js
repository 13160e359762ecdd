import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CHALLENGE_TYP } from '../assets/lib/challenge.js';
import { b64u, parseJws, thumbprint, utf8, verifyJws } from '../assets/lib/jose.js';
import { KEYS_TYP } from '../assets/lib/key_statement.js';
import { pause } from '../assets/lib/pause.js';
import { generateKey, keyStore as softKeyStore } from '../assets/phone/keys.js';
import { Phone } from '../assets/phone/protocol.js';
import { GATEWAY, Gateway, NOW, challenge, collect, keyStore, problem, readResponse, trucode } from './gateway.js';
import { jwks, signer, vectors } from './vectors.js';

const DEVICE = vectors.keys.device_p256.thumbprint;
const ID = vectors.challenge.claims.jti;
const EVENTS = `GET /api/v2/devices/${DEVICE}/trusonafications`;
const RESPONSES = 'POST /api/v2/trusonafication_responses';
const CONTEXT = 'GET /api/v2/trucodes/reference/context';

/**
 * A phone at a gateway of its own.
 * @param {Partial<import('../assets/phone/protocol.js').Config>} [config]
 */
async function world(config = {}) {
  const gateway = new Gateway();
  gateway.routes['GET /jwks'] = () => Response.json(jwks);
  /** @type {number[]} */
  const pauses = [];
  const clock = { now: () => NOW, sleep: async (/** @type {number} */ pause) => void pauses.push(pause) };
  const keys = await keyStore();
  const phone = await Phone.open({ gateway: GATEWAY, keys, jwks, clock, fetch: gateway.fetch, ...config });
  return { gateway, phone, pauses };
}

/**
 * Everything a stream of these events tells.
 * @param {Awaited<ReturnType<typeof world>>} world
 * @param {string} text
 */
async function told({ gateway, phone }, text) {
  gateway.routes[EVENTS] = (_, call) => {
    assert.equal(call.headers.get('accept'), 'text/event-stream');
    return new Response(text);
  };
  return collect(phone.events());
}

/**
 * @param {string} event
 * @param {object} data
 */
const sse = (event, data) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

/** @param {Awaited<ReturnType<typeof world>>} w @param {object} [claims] */
async function ask(w, claims) {
  const jws = await challenge(claims);
  const [event] = await told(w, sse('trusonafication', { id: ID, challenge: jws }));
  assert(event.type === 'prompt');
  return event.pending;
}

test('the device identifier is the thumbprint of the device key', async () => {
  assert.equal((await world()).phone.deviceIdentifier, DEVICE);
});

test('registering carries the mobile credential over the very body', async () => {
  const { gateway, phone } = await world();
  gateway.routes['POST /api/v2/device_challenges'] = () => problem(404, 'NOT_FOUND');
  gateway.routes['POST /api/v2/devices'] = (body, call) => {
    assert.deepEqual(body.device_key, vectors.keys.device_p256.jwk);
    assert.deepEqual(body.presence_keys, [{ kind: 'biometric', jwk: vectors.keys.presence_p256.jwk }]);
    assert.equal(body.name, 'Test');
    assert.match(call.headers.get('authorization') ?? '', /^TRUSONA a\.b\.c:[\w+/]{86}==$/);
    assert.equal(call.headers.get('x-date'), 'Fri, 02 Jan 2026 03:00:09 GMT');
    return Response.json(
      { device_identifier: DEVICE, device_identifier_jwt: 'jwt', is_active: false },
      { status: 201 },
    );
  };
  const device = await phone.register({ token: 'a.b.c', secret: 's' }, { name: 'Test' });
  assert.equal(device.device_identifier_jwt, 'jwt');
});

const CHALLENGES = 'POST /api/v2/device_challenges';
const DEVICES = 'POST /api/v2/devices';
const registered = () => Response.json({ device_identifier: DEVICE, device_identifier_jwt: 'jwt', is_active: false });

test('registering vouches for the keys, by the device key and by each presence key', async () => {
  /** @type {string[]} */
  const asked = [];
  const { gateway, phone } = await world({ keys: await keyStore(async (reason) => void asked.push(reason)) });
  gateway.routes[CHALLENGES] = () => Response.json({ nonce: 'n', seq: 7 }, { status: 201 });
  gateway.routes[DEVICES] = async ({ key_statement: statement, key_signatures: signatures }) => {
    assert.equal(signatures.length, 1);
    for (const [jws, by] of [
      [statement, 'device_p256'],
      [signatures[0], 'presence_p256'],
    ]) {
      const { jwk, thumbprint: kid } = vectors.keys[by];
      const compact = parseJws(jws);
      assert.equal(compact.header.kid, kid);
      assert.deepEqual(await verifyJws(compact, jwk, KEYS_TYP), {
        iss: DEVICE,
        aud: GATEWAY,
        seq: 7,
        keys: [{ kind: 'biometric', jkt: vectors.keys.presence_p256.thumbprint }],
        nonce: 'n',
        iat: NOW / 1000,
      });
    }
    return registered();
  };
  await phone.register({ token: 'a.b.c', secret: 's' }, { name: 'Test' });
  assert.deepEqual(asked, ['Register this phone']);
});

test('a key that is replaced vouches for its successor if the gateway knows it, and no other does', async () => {
  /** @type {string[]} */
  const asked = [];
  const before = await keyStore(async (reason) => void asked.push(reason));
  const { gateway, phone } = await world({ keys: before });
  const made = await softKeyStore(await generateKey(), await generateKey(), async () => {});
  const after = { ...before, presenceKeys: made.presenceKeys };
  const stranger = await softKeyStore(await generateKey(), await generateKey(), async () =>
    assert.fail('it is unknown'),
  );
  const known = vectors.keys.presence_p256.thumbprint;
  gateway.routes[`GET /api/v2/devices/${DEVICE}/status`] = () =>
    Response.json({ presence_keys: [{ kind: 'biometric', thumbprint: known, counts: true, since: null }] });
  gateway.routes[CHALLENGES] = () => Response.json({ nonce: 'n', seq: 8 }, { status: 201 });
  const jkt = await thumbprint(after.presenceKeys[0].jwk);
  gateway.routes[`PATCH /api/v2/devices/${DEVICE}`] = async (body) => {
    assert.deepEqual(body.presence_keys, [{ kind: 'biometric', jwk: after.presenceKeys[0].jwk }]);
    const [statement, ...signatures] = [body.key_statement, ...body.key_signatures].map(parseJws);
    assert.deepEqual(
      signatures.map(({ header }) => header.kid),
      [jkt, known],
    );
    const said = await verifyJws(statement, before.deviceKey, KEYS_TYP);
    assert.deepEqual(said.keys, [{ kind: 'biometric', jkt }]);
    assert.deepEqual(await verifyJws(signatures[0], after.presenceKeys[0].jwk, KEYS_TYP), said);
    assert.deepEqual(await verifyJws(signatures[1], before.presenceKeys[0].jwk, KEYS_TYP), said);
    return registered();
  };
  await phone.replaceKeys(after, [...before.presenceKeys, ...stranger.presenceKeys]);
  assert.deepEqual(asked, ['Register this phone']);
});

test('a gateway that knows no key statements is registered with as before, and asks nobody', async () => {
  const { gateway, phone } = await world({ keys: await keyStore(async () => assert.fail('nobody is to be asked')) });
  gateway.routes[CHALLENGES] = () => problem(404, 'NOT_FOUND');
  gateway.routes[DEVICES] = (body) => {
    assert.deepEqual(
      Object.keys(body).filter((name) => name.startsWith('key_')),
      [],
    );
    return registered();
  };
  await phone.register({ token: 'a.b.c', secret: 's' }, { name: 'Test' });
});

test('whoever does not confirm a presence key registers nothing', async () => {
  const denied = new Error('no');
  const { gateway, phone } = await world({ keys: await keyStore(() => Promise.reject(denied)) });
  gateway.routes[CHALLENGES] = () => Response.json({ nonce: 'n', seq: 7 }, { status: 201 });
  await assert.rejects(phone.register({ token: 'a.b.c', secret: 's' }, { name: 'Test' }), denied);
  assert(!gateway.calls.includes(DEVICES));
});

test('what is asked comes verified, and what closes comes too', async () => {
  const w = await world();
  const events = sse('trusonafication', { id: ID, challenge: vectors.challenge.jws, expires_at: null });
  const [asked, closed, ...rest] = await told(w, `: hello\n\n${events}${sse('closed', { id: ID })}`);
  assert(asked.type === 'prompt');
  assert.deepEqual(asked.pending.challenge, vectors.challenge.claims);
  assert.deepEqual(closed, { type: 'closed', id: ID });
  assert.deepEqual(rest, []);
});

test('custom fields are shown as the backend wrote them, and in its order', async () => {
  const w = await world();
  const { thumbprint: kid } = vectors.keys.server_ed25519;
  const fields = '{"z": 1.0, "iban":89370400440532013000,"2":{"a" : [1e2]}, "10":"12\\u00a0EUR"}';
  const claims = JSON.stringify({ ...vectors.challenge.claims, fields: 'FIELDS' }).replace('"FIELDS"', fields);
  const header = JSON.stringify({ alg: 'EdDSA', typ: CHALLENGE_TYP, kid });
  const input = [header, claims].map((part) => b64u(utf8(part))).join('.');
  const signature = await (await signer('server_ed25519'))(utf8(input));
  const [asked] = await told(w, sse('trusonafication', { id: ID, challenge: `${input}.${b64u(signature)}` }));
  assert(asked.type === 'prompt');
  const expected = [
    ['z', '1.0'],
    ['iban', '89370400440532013000'],
    ['2', '{"a":[1e2]}'],
    ['10', '12\u00a0EUR'],
  ];
  assert.deepEqual(asked.pending.fields, expected);
  assert.deepEqual((await ask(w, { fields: undefined })).fields, []);
});

test('what cannot be trusted comes without content, and keeps nothing else away', async () => {
  const w = await world();
  const other = await challenge({ jti: 'another' });
  const broken = vectors.challenge.jws.slice(0, -4) + 'AAAA';
  for (const [jws, reason] of [
    [await challenge({ iss: 'https://elsewhere.example' }), 'ISSUER'],
    [await challenge({ rp: { id: 'x' } }), 'SIGNATURE'],
    [await challenge({}, 'nobody'), 'SIGNATURE'],
    [other, 'MISMATCH'],
    [broken, 'SIGNATURE'],
    ['x', 'SIGNATURE'],
  ]) {
    const text = sse('trusonafication', { id: ID, challenge: jws }) + sse('closed', { id: 'next' });
    const [event, next] = await told(w, text);
    assert(event.type === 'untrusted');
    assert.equal(event.error.reason, reason);
    assert.deepEqual(Object.keys(event), ['type', 'id', 'error']);
    assert.equal(next.type, 'closed');
  }
});

test('keys are fetched when none are pinned, or a challenge names a new one; then they are pinned', async () => {
  for (const pinned of [undefined, { keys: [] }]) {
    /** @type {object[]} */
    const kept = [];
    const w = await world({ jwks: pinned, onJwks: (fetched) => kept.push(fetched) });
    await ask(w);
    await ask(w);
    assert.deepEqual(kept, [jwks]);
    assert.equal(w.gateway.calls.filter((call) => call === 'GET /jwks').length, 1);
  }
});

test('a key that is pinned is not fetched again for a signature that does not hold', async () => {
  const w = await world();
  await told(w, sse('trusonafication', { id: ID, challenge: vectors.challenge.jws.slice(0, -4) + 'AAAA' }));
  assert.deepEqual(w.gateway.calls, [EVENTS]);
});

test('accepting with presence signs, by the presence key, what was seen', async () => {
  /** @type {string[]} */
  const asked = [];
  const w = await world({ keys: await keyStore(async (reason) => void asked.push(reason)) });
  const pending = await ask(w);
  w.gateway.routes[RESPONSES] = async ({ response }) => {
    const { kid, claims } = await readResponse(response);
    assert.equal(kid, vectors.keys.presence_p256.thumbprint);
    const { iat, jti, ...rest } = claims;
    assert.equal(iat, NOW / 1000);
    assert.match(jti, /^[\w-]{22}$/);
    const { iat: _, jti: __, ...expected } = vectors.responses[1].claims;
    assert.deepEqual({ ...rest, chal: '' }, { ...expected, chal: '' });
    return Response.json({ id: ID, status: 'ACCEPTED', accepted_level: 2 });
  };
  assert.equal((await w.phone.respond(pending, 'accept')).status, 'ACCEPTED');
  assert.deepEqual(asked, ['transfer: EUR 90.00 to ACME GmbH']);
});

test('rejecting, and accepting what needs no presence, are signed by the device key and ask nobody', async () => {
  const keys = await keyStore(async () => assert.fail('nobody is to be asked'));
  const w = await world({ keys });
  /** @type {object[]} */
  const answers = [];
  w.gateway.routes[RESPONSES] = async ({ response }) => {
    const { kid, claims } = await readResponse(response);
    assert.equal(kid, DEVICE);
    answers.push([claims.dec, claims.why, claims.num]);
    return Response.json({ id: ID, status: 'REJECTED', accepted_level: 0 });
  };
  await w.phone.respond(await ask(w), 'reject', { why: 'not_me' });
  await w.phone.respond(await ask(w, { lvl: 1, presence: false }), 'accept', { number: '42' });
  assert.deepEqual(answers, [
    ['reject', 'not_me', undefined],
    ['accept', undefined, '42'],
  ]);
});

test('whoever does not prove their presence accepts nothing', async () => {
  const denied = new Error('no');
  const w = await world({ keys: await keyStore(() => Promise.reject(denied)) });
  const pending = await ask(w);
  await assert.rejects(w.phone.respond(pending, 'accept'), denied);
  assert(!w.gateway.calls.includes(RESPONSES));
});

test('what fails in passing is tried again, with a new proof and a growing pause; a refusal is not', async () => {
  const { gateway, phone, pauses } = await world();
  const answers = [
    problem(503, 'OVERLOADED', { 'retry-after': '2' }),
    Response.error(),
    new Response(null, { status: 204 }),
  ];
  const route = `DELETE /api/v2/devices/${DEVICE}`;
  gateway.routes[route] = () => {
    const answer = /** @type {Response} */ (answers.shift());
    if (answer.type === 'error') throw new TypeError('network');
    return answer;
  };
  await phone.retire();
  assert.equal(pauses.length, 2);
  assert.equal(pauses[0], 2000);
  assert(pauses[1] >= 400 && pauses[1] < 1200);

  gateway.routes[route] = () => problem(403, 'DEVICE_RETIRED');
  await assert.rejects(phone.retire(), { error: 'DEVICE_RETIRED' });
  gateway.routes[route] = () => problem(503, 'UNAVAILABLE');
  await assert.rejects(phone.retire(), { error: 'UNAVAILABLE' });
  assert.equal(gateway.calls.length, 3 + 1 + 4);
});

test('a clock that is off is set by the answer', async () => {
  const { gateway, phone, pauses } = await world();
  gateway.now = NOW + 3_600_000;
  gateway.routes[`PATCH /api/v2/devices/${DEVICE}`] = ({ name }) => Response.json({ name });
  await phone.rename('New');
  assert.equal(phone.now(), gateway.now);
  assert.deepEqual([gateway.calls.length, pauses.length], [2, 0]);
});

test('a code is verified before anything is asked about it', async () => {
  const { gateway, phone } = await world();
  gateway.routes[CONTEXT] = () => {
    return Response.json({ relying_party: 'Acme Bank', origin: 'https://acme.example', match_number: true });
  };
  const payload = await trucode();
  for (const text of [payload, ` ${payload}\n`, `https://acme.example/trucode?payload=${payload}`]) {
    assert.deepEqual(await phone.scan(text), {
      payload,
      expiresAt: NOW + 50_000,
      relyingParty: 'Acme Bank',
      origin: 'https://acme.example',
      place: null,
      matchNumber: true,
    });
  }
  const asked = gateway.calls.length;
  for (const [text, reason] of [
    [await trucode({ exp: NOW }), 'EXPIRED'],
    [await trucode({ jti: 7 }), 'MALFORMED'],
    [vectors.challenge.jws, 'SIGNATURE'],
    ['https://acme.example/', 'MALFORMED'],
    ['hello', 'SIGNATURE'],
    ['x'.repeat(5000), 'MALFORMED'],
  ]) {
    await assert.rejects(phone.scan(text), { name: 'Untrusted', reason });
  }
  assert.equal(gateway.calls.length, asked);
});

test('pairing names this device and the digits', async () => {
  const { gateway, phone } = await world();
  gateway.routes[CONTEXT] = () => Response.json({ relying_party: 'Acme Bank', match_number: true });
  gateway.routes['POST /api/v2/paired_trucodes'] = (body) => {
    assert.deepEqual(Object.keys(body), ['payload', 'identifier', 'match_number']);
    assert.deepEqual([body.identifier, body.match_number], [DEVICE, '42']);
    return Response.json({ id: 'x' }, { status: 201 });
  };
  await phone.pair(await phone.scan(await trucode()), '42');
});

/** An answer whose head comes through and whose body does not. @param {Request} call */
function heldBack(call) {
  const start = (/** @type {ReadableStreamDefaultController} */ it) =>
    call.signal.addEventListener('abort', () => it.error(call.signal.reason));
  return new Response(new ReadableStream({ start }));
}

test('a stream that brings nothing is taken for one that is held back, and long polls bring the same', async () => {
  const { gateway, phone, pauses } = await world({ patience: 20 });
  const [first, second] = [await challenge(), await challenge({ jti: '00000000-0000-4000-8000-000000000002' })];
  const lists = [[], [first], [first, second], [second], []];
  let streams = 0;
  gateway.routes[EVENTS] = (_, call) => {
    if (call.headers.get('accept') === 'text/event-stream') {
      streams += 1;
      return heldBack(call);
    }
    const list = lists.shift();
    if (!list) return problem(403, 'DEVICE_NOT_ACTIVE');
    const ids = list.map((jws) => ({ id: JSON.parse(atob(jws.split('.')[1])).jti, challenge: jws }));
    return Response.json({ trusonafications: ids });
  };
  let alive = 0;
  /** @type {string[]} */
  const told = [];
  const listen = async () => {
    for await (const event of phone.events({ onAlive: () => void (alive += 1) })) {
      if (event.type === 'synced') continue;
      told.push(`${event.type} ${event.type === 'prompt' ? event.pending.id : event.id}`);
    }
  };
  await assert.rejects(listen(), { error: 'DEVICE_NOT_ACTIVE' });
  const other = '00000000-0000-4000-8000-000000000002';
  assert.deepEqual(told, [`prompt ${ID}`, `prompt ${other}`, `closed ${ID}`, `closed ${other}`]);
  assert.equal(alive, 5, 'the head of an answer is no sign of life');
  const waits = gateway.calls.filter((call) => call.includes('?')).map((call) => call.split('?')[1]);
  assert.deepEqual(waits, ['wait=25', 'wait=25', 'wait=0', 'wait=0', 'wait=0', 'wait=25']);
  assert.deepEqual(pauses, [2000, 2000, 2000]);
  // From then on no stream is tried.
  lists.push([first]);
  await assert.rejects(listen(), { error: 'DEVICE_NOT_ACTIVE' });
  assert.deepEqual([streams, told.length], [1, 5]);
});

test('a stream that was heard once is not given up because it is silent', async () => {
  const { gateway, phone } = await world({ patience: 5 });
  const late = challenge();
  gateway.routes[EVENTS] = () =>
    new Response(
      new ReadableStream({
        async start(it) {
          const send = (/** @type {string} */ text) => it.enqueue(new TextEncoder().encode(text));
          send(': open\n\n');
          await new Promise((resolve) => setTimeout(resolve, 50));
          send(sse('trusonafication', { id: ID, challenge: await late }));
          it.close();
        },
      }),
    );
  const [event] = await collect(phone.events());
  assert.equal(event.type, 'prompt');
});

test('a stream that the gateway has no room for is not waited for, and is tried again', async () => {
  // The pause that the gateway wants is longer than the patience with a stream that is silent.
  const sleep = (/** @type {number} */ milliseconds, signal = new AbortController().signal) =>
    pause(milliseconds, signal);
  const w = await world({ patience: 20, clock: { now: () => NOW, sleep } });
  w.gateway.routes[EVENTS] = () => problem(503, 'OVERLOADED', { 'retry-after': '1' });
  await assert.rejects(collect(w.phone.events()), { error: 'OVERLOADED', retryAfter: 1000 });
  assert.deepEqual(w.gateway.calls, [EVENTS]);
  const [event] = await told(w, sse('closed', { id: ID }));
  assert.equal(event.type, 'closed');
});

test('a stream is tried again where polls were not answered either', async () => {
  const w = await world({ patience: 20 });
  w.gateway.routes[EVENTS] = (_, call) =>
    call.headers.get('accept') === 'text/event-stream' ? heldBack(call) : problem(503, 'UNAVAILABLE');
  await assert.rejects(collect(w.phone.events()), { error: 'UNAVAILABLE' });
  const [event] = await told(w, sse('closed', { id: ID }));
  assert.equal(event.type, 'closed');
});

test('a stream that is refused because the clock is off is sent again at once', async () => {
  const w = await world();
  w.gateway.now = NOW + 3_600_000;
  const [event] = await told(w, sse('closed', { id: ID }));
  assert.equal(event.type, 'closed');
  assert.deepEqual([w.gateway.calls, w.pauses], [[EVENTS, EVENTS], []]);
});
