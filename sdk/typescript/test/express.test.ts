/** The middleware, in a real Express on a real socket, with the webhooks of sdk/spec/vectors. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, it } from 'node:test';

import express, { type ErrorRequestHandler } from 'express';

import { webhooks, type WebhookReceiver } from '../src/express.js';
import type { Jwks, Webhook } from '../src/index.js';

interface Vectors {
  readonly now: number;
  readonly key: string;
  readonly relying_party: string;
  readonly jwks: Jwks;
  readonly cases: readonly {
    readonly name: string;
    readonly input: { readonly headers: Record<string, string>; readonly body: string };
  }[];
}

const file = path.resolve(import.meta.dirname, '../../../spec/vectors/webhooks.json');
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors;
const servers: Server[] = [];

after(() => {
  for (const server of servers) server.close();
});

/** Posts a vector to a receiver. Returns the answer, what its handlers got, and the error that Express handled. */
async function post(name: string, receiver: Partial<WebhookReceiver> = {}, before?: express.RequestHandler, more = '') {
  const got: Webhook[] = [];
  const errors: unknown[] = [];
  const take = (webhook: Webhook) => {
    got.push(webhook);
  };
  const { key, jwks, relying_party: relyingParty } = vectors;
  const now = () => new Date(vectors.now * 1000);
  const app = express();
  if (before !== undefined) app.use(before);
  app.post('/', webhooks({ key, jwks, relyingParty, now, onResult: take, onNotice: take, ...receiver }));
  const onError: ErrorRequestHandler = (error, _request, response, _next) => {
    errors.push(error);
    response.status(500).end();
  };
  app.use(onError);
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  const input = vectors.cases.find((candidate) => candidate.name === name)?.input;
  assert.ok(input, name);
  const response = await fetch(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`, {
    method: 'POST',
    headers: { ...input.headers, 'content-type': 'application/json' },
    body: input.body + more,
  });
  return { status: response.status, text: await response.text(), got, errors };
}

it('hands_a_result_to_its_handler_and_answers_204', async () => {
  const { status, text, got } = await post('an_accept');
  assert.deepEqual([status, text, got.length], [204, '', 1]);
  assert.ok(got[0]?.kind === 'result');
  assert.deepEqual([got[0].receipt.status, got[0].type], ['ACCEPTED', 'trusonafication.accepted']);
});

it('hands_a_notice_to_the_other_handler', async () => {
  const { status, got } = await post('a_notice_of_a_device', {
    onResult: () => {
      throw new Error('a notice is no result');
    },
  });
  assert.deepEqual([status, got[0]?.kind], [204, 'notice']);
});

it('answers_204_where_nobody_handles_it', async () => {
  const { status } = await post('an_accept', { onResult: undefined, onNotice: undefined });
  assert.equal(status, 204);
});

it('answers_400_with_the_reason_and_calls_nobody_where_something_does_not_verify', async () => {
  const refused = {
    of_a_body_with_another_level: 'invalid_signature',
    more_than_five_minutes_ago: 'timestamp_out_of_tolerance',
    of_a_time_in_words: 'malformed_timestamp',
    the_receipt_of_other_data: 'mismatch',
  };
  for (const [name, error] of Object.entries(refused)) {
    const { status, text, got, errors } = await post(name);
    assert.deepEqual([status, JSON.parse(text), got, errors], [400, { error }, [], []], name);
  }
});

it('leaves_what_a_handler_throws_to_express_so_that_it_is_sent_again', async () => {
  const failure = new Error('the database is away');
  const { status, errors } = await post('an_accept', {
    onResult: async () => {
      await Promise.reject(failure);
    },
  });
  assert.deepEqual([status, errors], [500, [failure]]);
});

it('takes_a_body_that_was_read_raw_before_it', async () => {
  const { status, got } = await post('an_accept', {}, express.raw({ type: '*/*' }));
  assert.deepEqual([status, got.length], [204, 1]);
});

it('says_so_where_the_body_was_parsed_before_it', async () => {
  const { status, errors, got } = await post('an_accept', {}, express.json());
  assert.deepEqual([status, got], [500, []]);
  assert.match(String(errors[0]), /before `express.json\(\)`/);
});

it('leaves_a_key_that_cannot_be_read_to_express_and_does_not_blame_the_sender', async () => {
  const { status, errors } = await post('an_accept', { key: 'whsec_short' });
  assert.equal(status, 500);
  assert.match(String(errors[0]), /neither a secret/);
});

it('looks_up_a_key_that_is_new_once_and_not_for_a_forgery', async () => {
  const asked: (boolean | undefined)[] = [];
  const jwks = {
    get: ({ fresh }: { fresh?: boolean } = {}) => {
      asked.push(fresh);
      return Promise.resolve(fresh === true ? vectors.jwks : { keys: [] });
    },
  };
  assert.equal((await post('an_accept', { jwks })).status, 204);
  assert.deepEqual(asked, [undefined, true]);
  asked.length = 0;
  assert.equal((await post('of_a_body_with_another_level', { jwks })).status, 400);
  assert.deepEqual(asked, []);
});

it('answers_413_to_what_is_too_large_for_a_webhook', async () => {
  const { status, text, got } = await post('an_accept', {}, undefined, ' '.repeat(3 << 20));
  assert.deepEqual([status, text, got], [413, '{"error":"body_too_large"}', []]);
});
