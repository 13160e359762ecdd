// A phone in one file: the mobile protocol (mobile.md) with Node.js 20 and nothing else. For reading and for trying things out: a real
// phone keeps its keys in hardware, lets the person decide, and pins the JWKS.
//
//     node docs/protocol/phone.mjs             registers with `nodkey dev`, prints its device identifier, and accepts every request
//     node docs/protocol/phone.mjs PAYLOAD     pairs a secure QR code first

import { createHash, createHmac, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const { http: gateway, mobile } = JSON.parse(readFileSync(process.env.NODKEY_DEV_JSON ?? '.nodkey/dev.json', 'utf8'));
const seconds = () => Math.floor(Date.now() / 1000);
const random = () => randomBytes(16).toString('base64url');
const sha256 = (data) => createHash('sha256').update(data).digest('base64url');
const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
const decode = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

// Keys (section 1). On a phone the Secure Enclave or the Android Keystore makes and keeps them.

function newKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
  const jwk = { crv, kty, x, y }; // members in this order: the JSON text that RFC 7638 hashes
  return { privateKey, jwk, thumbprint: sha256(JSON.stringify(jwk)) };
}

function jws(key, header, claims) {
  const input = `${encode({ alg: 'ES256', ...header })}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

const device = newKey();
const presence = newKey();

// A call and its proof (section 2).

async function call(method, path, body, headers = {}) {
  const text = body && JSON.stringify(body);
  const claims = { jti: random(), htm: method, htu: gateway + path.split('?')[0], iat: seconds(), bh: text && sha256(text) };
  const proof = jws(device, { typ: 'dpop+jwt', jwk: device.jwk }, claims);
  const type = text ? { 'Content-Type': 'application/json' } : {};
  const answer = await fetch(gateway + path, { method, body: text, headers: { ...headers, ...type, DPoP: proof } });
  const json = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(`${answer.status} ${json.error}: ${json.description}`);
  return json;
}

// Registration with a key statement (section 4). The app's mobile credential signs the request, too (trusona.md).

async function register() {
  const { nonce, seq } = await call('POST', '/api/v2/device_challenges');
  const keys = [{ kind: 'biometric', jkt: presence.thumbprint }];
  const statement = { iss: device.thumbprint, aud: gateway, seq, keys, nonce, iat: seconds() };
  const signedBy = (key) => jws(key, { typ: 'nodkey-keys+jwt', kid: key.thumbprint }, statement);
  const body = {
    device_key: device.jwk,
    presence_keys: [{ kind: 'biometric', jwk: presence.jwk }],
    name: 'phone.mjs',
    platform: 'other',
    key_statement: signedBy(device),
    key_signatures: [signedBy(presence)],
  };
  const date = new Date().toUTCString();
  const md5 = createHash('md5').update(JSON.stringify(body)).digest('hex');
  const toSign = ['POST', md5, 'application/json', date, '/api/v2/devices'].join('\n');
  const mac = createHmac('sha256', mobile.secret).update(toSign).digest('hex');
  const authorization = `TRUSONA ${mobile.token}:${Buffer.from(mac).toString('base64')}`;
  return call('POST', '/api/v2/devices', body, { Authorization: authorization, 'X-Date': date });
}

// What the deployment signed (sections 5 and 8): by a key of the JWKS that may sign this type.

async function verified(compact, expectedType) {
  const { keys } = await (await fetch(`${gateway}/jwks`)).json();
  const [head, payload, signature] = compact.split('.');
  const { alg, typ, kid } = decode(head);
  const jwk = keys.find((key) => key.kid === kid && key.alg === alg && key.typs?.includes(typ));
  if (!jwk || typ !== expectedType) throw new Error(`no key of this deployment signed it as ${expectedType}`);
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  const input = Buffer.from(`${head}.${payload}`);
  if (!verify(alg === 'ES256' ? 'sha256' : null, input, key, Buffer.from(signature, 'base64url'))) throw new Error('not genuine');
  return decode(payload);
}

// Waiting and answering (sections 5 and 6). This phone accepts everything, without a person.

async function answer({ id, challenge }) {
  const { iss, jti, exp, rp, act, res } = await verified(challenge, 'nodkey-challenge+jwt');
  if (iss !== gateway || jti !== id || exp <= seconds()) throw new Error('for another gateway or trusonafication, or expired');
  console.log(`${rp.name}: ${act}, ${res}`);
  const claims = { iss: device.thumbprint, aud: iss, sub: id, chal: sha256(challenge), dec: 'accept', iat: seconds(), jti: random() };
  const response = jws(presence, { typ: 'nodkey-response+jwt', kid: presence.thumbprint }, claims);
  console.log((await call('POST', '/api/v2/trusonafication_responses', { response })).status);
}

// A secure QR code (section 8).

async function pair(payload) {
  const { jti, exp } = await verified(payload, 'nodkey-trucode+jwt');
  if (exp <= Date.now()) throw new Error('the code has expired'); // milliseconds, here alone
  const { relying_party, origin } = await call('GET', `/api/v2/trucodes/${jti}/context`);
  await call('POST', '/api/v2/paired_trucodes', { payload, identifier: device.thumbprint });
  console.log(`paired a code of ${relying_party}, shown at ${origin}`);
}

const [, , payload] = process.argv;
console.log((await register()).device_identifier);
if (payload) await pair(payload);
while (!(await call('GET', `/api/v2/devices/${device.thumbprint}/status`)).is_active) await sleep(1000);
for (;;) {
  const { trusonafications } = await call('GET', `/api/v2/devices/${device.thumbprint}/trusonafications?wait=25`);
  for (const pending of trusonafications) await answer(pending);
}
