import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { curl } from '../assets/demo/curl.js';
import { curl as example } from '../assets/docs/curl.js';

test('a command quotes what it sends, and leaves the token to the reader', () => {
  const request = { action: 'it\'s $HOME `id` \\ "' };
  const command = curl('https://gw.example', {
    by: 'backend',
    method: 'POST',
    path: '/api/v2/trusonafications',
    request,
  });
  const script = `curl() { printf '%s\\n' "$@"; }; TOKEN=secret; ${command}`;
  const words = execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trimEnd().split('\n');
  assert.deepEqual(words, [
    '-sS',
    '-X',
    'POST',
    'https://gw.example/api/v2/trusonafications',
    '-H',
    'Authorization: Bearer secret',
    '-H',
    'Content-Type: application/json',
    '--data-binary',
    JSON.stringify(request),
  ]);
});

test('a call of the page carries no token', () => {
  const command = curl('https://gw.example', { by: 'page', method: 'GET', path: '/api/v2/trucodes/1' });
  assert.equal(command, "curl -sS 'https://gw.example/api/v2/trucodes/1'");
});

test('the command of an operation has its example, and what its caller proves itself by', () => {
  const operation = {
    operationId: 'cancel',
    tags: [],
    responses: {},
    security: [{ dpop: [] }],
    parameters: [
      { name: 'id', in: 'path', example: 'a b' },
      { name: 'wait', in: 'query', required: true, example: 25 },
      { name: 'page', in: 'query' },
    ],
    requestBody: { content: { 'application/json': { example: { why: "it's" } } } },
  };
  const command = example('https://gw.example/', 'post', '/api/{id}/{of}', operation, (parameter) => parameter);
  assert.deepEqual(command.split(' \\\n  '), [
    "curl -sS -X POST 'https://gw.example/api/a%20b/<of>?wait=25'",
    '-H "DPoP: $proof"',
    "-H 'Content-Type: application/json'",
    `--data-binary '{"why":"it'\\''s"}'`,
  ]);
});
