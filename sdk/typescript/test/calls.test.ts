/** Attempts, pauses, tokens and errors, against a server on a real socket. */

import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { it } from 'node:test';

import { create as createMessage } from '@bufbuild/protobuf';
import { Code, type HandlerContext } from '@connectrpc/connect';

import { BindingSchema, BindingService, BindingState } from '../src/gen/nodkey/binding/v1/bindings_pb.js';
import { SigningKeyService } from '../src/gen/nodkey/registry/v1/signing_keys_pb.js';
import { Nodkey, NodkeyError } from '../src/index.js';
import { clientOf, FakeEnvironment, FakeServer, refusal, SECRET, TOKEN } from './support/fake.js';

interface Attempt {
  readonly requestId: string;
  readonly authorization: string | null;
  readonly timeout: string | null;
}

const BINDING = { id: 'b', state: BindingState.INACTIVE, createdAt: { seconds: 1n, nanos: 0 } };

/** A binding in a state that this release does not know. */
function withState(state: number) {
  return Object.assign(createMessage(BindingSchema, BINDING), { state });
}

/** A server that fails in these ways, one after the other, and then answers; and what it was asked. */
async function failing(...failures: readonly unknown[]) {
  const attempts: Attempt[] = [];
  const left = [...failures];
  const server = await new FakeServer((router) => {
    router.service(BindingService, {
      createBinding({ requestId }: { requestId: string }, { requestHeader }: HandlerContext) {
        attempts.push({
          requestId,
          authorization: requestHeader.get('authorization'),
          timeout: requestHeader.get('grpc-timeout'),
        });
        if (left.length > 0) throw left.shift() as Error;
        return BINDING;
      },
    });
  }).start();
  return { server, attempts };
}

const create = (nodkey: Nodkey, requestId?: string) => nodkey.bindings.create({ user: 'ada', device: 'd', requestId });

it('repeats_what_passes_with_the_same_request_id_and_a_new_token', async () => {
  const { server, attempts } = await failing(refusal(Code.Unavailable), refusal(Code.DeadlineExceeded));
  const environment = new FakeEnvironment();
  environment.sleep = (milliseconds) => {
    environment.pauses.push(milliseconds);
    environment.time += 1000;
    return Promise.resolve();
  };
  const binding = await create(clientOf(server, environment));
  assert.equal(binding.state, 'INACTIVE');
  assert.deepEqual(
    attempts.map(({ requestId }) => requestId),
    ['request-1', 'request-1', 'request-1'],
  );
  const claims = attempts.map(
    ({ authorization }) =>
      JSON.parse(Buffer.from(authorization?.split('.')[1] ?? '', 'base64url').toString()) as unknown,
  );
  assert.deepEqual(claims, [
    { aud: 'nodkey', iat: 1_790_000_000, exp: 1_790_000_030 },
    { aud: 'nodkey', iat: 1_790_000_001, exp: 1_790_000_031 },
    { aud: 'nodkey', iat: 1_790_000_002, exp: 1_790_000_032 },
  ]);
});

it('keeps_the_request_id_of_the_caller_and_makes_one_for_each_call', async () => {
  const { server, attempts } = await failing();
  const nodkey = clientOf(server);
  await create(nodkey);
  await create(nodkey, 'mine');
  await create(nodkey);
  assert.deepEqual(
    attempts.map(({ requestId }) => requestId),
    ['request-1', 'mine', 'request-2'],
  );
});

it('gives_each_attempt_ten_seconds', async () => {
  const { server, attempts } = await failing(refusal(Code.Unavailable));
  await create(clientOf(server));
  for (const { timeout } of attempts) assert.match(timeout ?? '', /^(10000|9\d{3})m$/);
  assert.equal(attempts.length, 2);
});

it('tries_three_times_and_no_more', async () => {
  const { server, attempts } = await failing(
    ...Array<unknown>(5).fill(refusal(Code.Unavailable, { reason: 'OVERLOADED' })),
  );
  await assert.rejects(create(clientOf(server)), { reason: 'OVERLOADED', kind: 'UNAVAILABLE', retryable: true });
  assert.equal(attempts.length, 3);
});

it('pauses_at_random_below_a_bound_that_doubles', async () => {
  for (const [chance, pauses] of [
    [0, [0, 0]],
    [0.5, [50, 100]],
    [0.999, [99.9, 199.8]],
  ] as const) {
    const { server } = await failing(refusal(Code.Unavailable), refusal(Code.Unavailable));
    const environment = new FakeEnvironment();
    environment.chance = chance;
    await create(clientOf(server, environment));
    assert.deepEqual(environment.pauses, pauses);
  }
});

it('pauses_as_long_as_the_server_says_and_not_at_all_where_that_is_too_long_or_not_about_the_rate', async () => {
  const environment = new FakeEnvironment();
  const patient = await failing(refusal(Code.ResourceExhausted, { reason: 'RATE_LIMITED', retrySeconds: 10 }));
  await create(clientOf(patient.server, environment));
  assert.deepEqual(environment.pauses, [10_000]);
  for (const [reason, retrySeconds] of [
    ['RATE_LIMITED', 11],
    ['PROMPT_BUDGET_EXHAUSTED', 1],
  ] as const) {
    const impatient = await failing(refusal(Code.ResourceExhausted, { reason, retrySeconds }));
    await assert.rejects(create(clientOf(impatient.server)), {
      reason,
      retryAfter: retrySeconds * 1000,
      retryable: true,
    });
    assert.equal(impatient.attempts.length, 1);
  }
});

it('does_not_repeat_what_a_server_refuses', async () => {
  const refused: [Code, string][] = [
    [Code.InvalidArgument, 'INVALID'],
    [Code.NotFound, 'NOT_FOUND'],
    [Code.AlreadyExists, 'CONFLICT'],
    [Code.FailedPrecondition, 'PRECONDITION'],
    [Code.PermissionDenied, 'FORBIDDEN'],
    [Code.Unauthenticated, 'UNAUTHENTICATED'],
    [Code.Unimplemented, 'INTERNAL'],
    [Code.DataLoss, 'INTERNAL'],
    // Nobody knows when: the server did not say.
    [Code.ResourceExhausted, 'EXHAUSTED'],
    // A fault of the server, which says so.
    [Code.Internal, 'INTERNAL'],
    [Code.Unknown, 'INTERNAL'],
  ];
  for (const [code, kind] of refused) {
    const { server, attempts } = await failing(refusal(code, { reason: 'SAID_SO' }));
    await assert.rejects(create(clientOf(server)), { reason: 'SAID_SO', kind });
    assert.equal(attempts.length, 1, Code[code]);
  }
});

it('repeats_what_broke_between_here_and_the_server', async () => {
  for (const code of [Code.Internal, Code.Unknown, Code.Canceled]) {
    const { server, attempts } = await failing(refusal(code));
    await create(clientOf(server));
    assert.equal(attempts.length, 2, Code[code]);
  }
});

it('says_what_the_server_said', async () => {
  const fields = [{ field: 'user_identifier', description: 'must not be blank' }];
  const { server } = await failing(
    refusal(Code.FailedPrecondition, { reason: 'EXPIRED', kind: 'GONE', fields, retrySeconds: 2 }),
  );
  await assert.rejects(create(clientOf(server)), (error) => {
    assert.ok(error instanceof NodkeyError);
    const { reason, kind, message, retryAfter, retryable } = error;
    assert.deepEqual(
      [reason, kind, message, retryAfter, retryable, error.fields],
      ['EXPIRED', 'GONE', 'in words', 2000, false, fields],
    );
    return true;
  });
});

it('names_the_code_where_there_is_no_reason', async () => {
  const { server } = await failing(refusal(Code.FailedPrecondition));
  await assert.rejects(create(clientOf(server)), { reason: 'FAILED_PRECONDITION', kind: 'PRECONDITION' });
});

it('says_where_nobody_could_be_reached', async () => {
  const server = await new FakeServer(() => undefined).start();
  const { url } = server;
  await server.stop();
  await assert.rejects(create(clientOf({ url })), (error) => {
    assert.ok(error instanceof NodkeyError);
    assert.deepEqual([error.reason, error.kind], ['UNAVAILABLE', 'UNAVAILABLE']);
    assert.match(error.message, new RegExp(`cannot reach ${url}: .*ECONNREFUSED`));
    return true;
  });
});

it('connects_again_to_a_server_that_was_away', async () => {
  const { server, attempts } = await failing();
  const nodkey = clientOf(server);
  await create(nodkey);
  await server.stop();
  await assert.rejects(create(nodkey), { kind: 'UNAVAILABLE' });
  await server.start();
  await create(nodkey);
  assert.equal(attempts.length, 2);
});

it('throws_the_reason_of_the_signal_before_a_call_during_one_and_between_attempts', async () => {
  const mine = new Error('mine');
  let asked = 0;
  let arrived = (): void => undefined;
  const server = await new FakeServer((router) => {
    router.service(BindingService, {
      async getBinding(_request, { signal }) {
        asked += 1;
        arrived();
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve);
        });
        return BINDING;
      },
      createBinding: () => {
        throw refusal(Code.Unavailable);
      },
    });
  }).start();
  await assert.rejects(clientOf(server).bindings.get('b', { signal: AbortSignal.abort(mine) }), mine);
  assert.equal(asked, 0);
  const during = new AbortController();
  arrived = () => {
    during.abort(mine);
  };
  await assert.rejects(clientOf(server).bindings.get('b', { signal: during.signal }), mine);
  assert.equal(asked, 1);
  const between = new AbortController();
  const environment = new FakeEnvironment();
  environment.sleep = (_milliseconds, signal) => {
    between.abort(mine);
    signal?.throwIfAborted();
    return Promise.resolve();
  };
  const nodkey = clientOf(server, environment);
  await assert.rejects(nodkey.bindings.create({ user: 'ada', device: 'd' }, { signal: between.signal }), mine);
});

it('reads_a_list_page_by_page_as_it_is_needed', async () => {
  const asked: [string, number, string][] = [];
  const server = await new FakeServer((router) => {
    router.service(BindingService, {
      listBindings({ pageToken, pageSize, userIdentifier }) {
        asked.push([pageToken, pageSize, userIdentifier]);
        const next: Record<string, string> = { '': 'second', second: 'third', third: '' };
        return {
          bindings: [1, 2].map((n) => ({ ...BINDING, id: `${pageToken}${String(n)}` })),
          nextPageToken: next[pageToken] ?? '',
        };
      },
    });
  }).start();
  const list = clientOf(server).bindings.list({ user: 'ada', pageSize: 2 });
  assert.deepEqual(asked, []);
  const ids: string[] = [];
  for await (const { id } of list) ids.push(id);
  assert.deepEqual(ids, ['1', '2', 'second1', 'second2', 'third1', 'third2']);
  assert.deepEqual(asked, [
    ['', 2, 'ada'],
    ['second', 2, 'ada'],
    ['third', 2, 'ada'],
  ]);
  asked.length = 0;
  for await (const { id } of list) if (id === '2') break;
  assert.equal(asked.length, 1);
});

it('keeps_the_keys_for_five_minutes_and_asks_once_for_all_who_ask_together', async () => {
  let [asked, failures] = [0, 1];
  const server = await new FakeServer((router) => {
    router.service(SigningKeyService, {
      getJwks() {
        if (failures-- > 0) throw refusal(Code.NotFound);
        asked += 1;
        return { jwks: `{"keys":[{"kid":"${String(asked)}"}]}` };
      },
    });
  }).start();
  const environment = new FakeEnvironment();
  const { jwks } = clientOf(server, environment);
  const kid = async (options?: { fresh: boolean }) => (await jwks.get(options)).keys[0];
  await assert.rejects(jwks.get(), { reason: 'NOT_FOUND' });
  assert.deepEqual(await Promise.all([kid(), kid()]), [{ kid: '1' }, { kid: '1' }]);
  environment.time += 299_000;
  assert.deepEqual(await kid(), { kid: '1' });
  environment.time += 1_000;
  assert.deepEqual(await kid(), { kid: '2' });
  assert.deepEqual(await kid({ fresh: true }), { kid: '3' });
  assert.deepEqual(await kid(), { kid: '3' });
});

it('lets_a_caller_leave_who_waits_for_keys_and_nobody_else', async () => {
  let answer = (): void => undefined;
  const asked = new Promise<void>((begun) => {
    answer = begun;
  });
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const server = await new FakeServer((router) => {
    router.service(SigningKeyService, {
      async getJwks() {
        answer();
        await released;
        return { jwks: '{"keys":[]}' };
      },
    });
  }).start();
  const { jwks } = clientOf(server);
  const [mine, leaving] = [new Error('mine'), new AbortController()];
  const [left, other] = [jwks.get({ signal: leaving.signal }), jwks.get()];
  await asked;
  leaving.abort(mine);
  await assert.rejects(left, mine);
  release();
  assert.deepEqual(await other, { keys: [] });
});

it('refuses_an_answer_that_it_cannot_read', async () => {
  const server = await new FakeServer((router) => {
    router.service(BindingService, {
      getBinding: () => withState(17),
      activateBinding: () => ({}),
    });
    router.service(SigningKeyService, { getJwks: () => ({ jwks: '[]' }) });
  }).start();
  const nodkey = clientOf(server);
  for (const call of [nodkey.bindings.get('b'), nodkey.bindings.activate('b'), nodkey.jwks.get()]) {
    await assert.rejects(call, { reason: 'UNEXPECTED_ANSWER', kind: 'INTERNAL', retryable: false });
  }
});

it('refuses_a_parameter_of_the_wrong_type_before_anything_is_sent', async () => {
  const { server, attempts } = await failing();
  const nodkey = clientOf(server);
  const wrong = 5 as unknown as string;
  await assert.rejects(create(nodkey, wrong), {
    reason: 'INVALID_PARAMETER',
    fields: [{ field: 'request_id', description: 'must be text' }],
  });
  await assert.rejects(nodkey.bindings.create({ user: 'half a \ud83d', device: 'd' }), { reason: 'INVALID_PARAMETER' });
  const page = nodkey.bindings.list({ pageSize: 1.5 }).pages().next();
  await assert.rejects(page, {
    reason: 'INVALID_PARAMETER',
    fields: [{ field: 'page_size', description: 'must be a whole number' }],
  });
  const target = { action: 'log in', resource: 'Acme Bank' } as unknown as {
    user: string;
    action: string;
    resource: string;
  };
  await assert.rejects(nodkey.trusonafications.create(target), { reason: 'INVALID_PARAMETER' });
  await assert.rejects(nodkey.trusonafications.create({ ...target, user: 'ada', customFields: { n: 1n } }), {
    reason: 'INVALID_PARAMETER',
  });
  const never = new Date(Number.NaN);
  await assert.rejects(nodkey.trusonafications.create({ ...target, user: 'ada', expiresAt: never }), {
    reason: 'INVALID_PARAMETER',
  });
  assert.equal(attempts.length, 0);
});

it('is_made_only_from_a_url_a_token_and_a_secret', () => {
  const made = (options: object) => () =>
    new Nodkey({ url: 'http://127.0.0.1', token: TOKEN, secret: SECRET, ...options });
  assert.doesNotThrow(made({}));
  assert.doesNotThrow(made({ url: 'https://auth.example.com/' }));
  for (const url of ['', 'auth.example.com', 'ftp://auth.example.com', 'https://user:password@auth.example.com']) {
    assert.throws(made({ url }), (error) => {
      assert.ok(error instanceof NodkeyError);
      assert.equal(error.reason, 'INVALID_URL');
      assert.doesNotMatch(error.message, /password/);
      return true;
    });
  }
  assert.throws(made({ secret: '' }), { reason: 'INVALID_CREDENTIAL' });
  assert.throws(made({ token: 'a.b.c' }), { reason: 'INVALID_CREDENTIAL' });
});

it('takes_what_is_not_given_from_the_environment', async () => {
  const { server, attempts } = await failing();
  const given = { NODKEY_URL: server.url, NODKEY_TOKEN: TOKEN, NODKEY_SECRET: SECRET, NODKEY_AUDIENCE: 'acme' };
  Object.assign(process.env, given);
  try {
    for (const audience of ['acme', '']) {
      process.env['NODKEY_AUDIENCE'] = audience;
      using nodkey = new Nodkey();
      await create(nodkey);
    }
  } finally {
    for (const name of Object.keys(given)) Reflect.deleteProperty(process.env, name);
  }
  const audiences = attempts.map(({ authorization }) => {
    const claims = Buffer.from(authorization?.split('.')[1] ?? '', 'base64url').toString();
    return (JSON.parse(claims) as { aud: string }).aud;
  });
  // What is set and empty is not set.
  assert.deepEqual(audiences, ['acme', 'nodkey']);
});

it('shows_neither_secret_nor_token_in_errors_or_in_text_forms', async () => {
  const { server } = await failing(refusal(Code.Unauthenticated, { reason: 'UNAUTHENTICATED' }));
  const nodkey = clientOf(server);
  const error = await create(nodkey).catch((thrown: unknown) => thrown);
  for (const shown of [
    inspect(nodkey, { depth: 20, showHidden: true }),
    JSON.stringify(nodkey),
    inspect(error, { depth: 20, showHidden: true }),
  ]) {
    assert.ok(!shown.includes(SECRET) && !shown.includes('Bearer') && !shown.includes(TOKEN), shown);
  }
});

it('survives_a_server_that_says_goodbye_at_any_moment', async () => {
  const { server, attempts } = await failing();
  const nodkey = clientOf(server);
  for (let round = 0; round < 50; round += 1) {
    await create(nodkey);
    server.goodbye();
    // How many turns pass in between decides what the library notices first: the farewell, or the next request.
    for (let turn = 0; turn < round % 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await create(nodkey);
  }
  assert.ok(attempts.length >= 100);
});
