/** A login by the client that @hey-api/openapi-ts made of /openapi.json. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { client } from './client/client.gen.js';
import { createTrusonafication, getEvidence, getTrusonafication } from './client/index.js';

const { http, server } = JSON.parse(readFileSync(process.env.NODKEY_DEV_JSON ?? '', 'utf8')) as {
  http: string;
  server: { token: string; secret: string };
};

function bearerToken(): string {
  const { jti } = JSON.parse(Buffer.from(server.token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
  const parts = [
    { alg: 'HS256', kid: jti },
    { aud: 'nodkey', exp: Math.floor(Date.now() / 1000) + 60 },
  ];
  const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${signed}.${createHmac('sha256', server.secret).update(signed).digest('base64url')}`;
}

client.setConfig({ baseUrl: http, auth: ({ type }) => (type === 'http' ? bearerToken() : undefined) });

const created = await createTrusonafication({
  body: { user_identifier: 'ada', action: 'log in', resource: 'Acme Bank' },
  throwOnError: true,
});
const path = { id: created.data.id };
const done = await getTrusonafication({ path, query: { wait: 60 }, throwOnError: true });
assert.equal(done.data.status, 'ACCEPTED');
assert.equal(done.data.result?.accepted_level, 2);
const evidence = await getEvidence({ path, throwOnError: true });
assert.ok(evidence.data.receipt);
const unknown = await getTrusonafication({ path: { id: '019ab2f4-5f3c-7a52-9d27-0d2b8a7f4c11' } });
assert.equal(unknown.error?.error, 'NOT_FOUND');
console.log('@hey-api/openapi-ts: logged in');
