/** Waiting and watching, against a server on a real socket. */

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { Code } from '@connectrpc/connect';

import {
  Status,
  TrusonaficationService,
  type WatchResultsRequest,
} from '../src/gen/nodkey/trusonafication/v1/trusonafications_pb.js';
import { Queue } from '../src/queue.js';
import { clientOf, FakeEnvironment, FakeServer, refusal, trusonafication } from './support/fake.js';

interface Answer {
  readonly id: string;
  readonly trusonafication?: ReturnType<typeof trusonafication>;
  readonly error?: { readonly code: Code; readonly reason: string; readonly message: string };
}

/** A stream of a server: the ids that arrived, and what answers them. */
interface Stream {
  readonly ids: string[];
  readonly answers: Queue<Answer | Error>;
  /** Resolves once so many ids arrived. */
  readonly arrived: (count: number) => Promise<void>;
  /** Whether the client has given it up. */
  readonly signal: AbortSignal;
}

const accepted = (id: string): Answer => ({ id, trusonafication: trusonafication(id, Status.ACCEPTED) });

/** A server that hands each stream that is opened to the test. `states` are what it answers to those that ask for the current one. */
async function watched() {
  const opened = new Queue<Stream>();
  const states: (ReturnType<typeof trusonafication> | Error)[] = [];
  const server = await new FakeServer((router) => {
    router.service(TrusonaficationService, {
      getTrusonafication() {
        const state = states.shift() ?? refusal(Code.Unavailable);
        if (state instanceof Error) throw state;
        return state;
      },
      async *watchResults(requests, { signal }) {
        const [ids, answers, arrivals]: [string[], Stream['answers'], (() => void)[]] = [[], new Queue(), []];
        const arrived = async (count: number) => {
          while (ids.length < count) await new Promise<void>((resolve) => arrivals.push(resolve));
        };
        opened.push({ ids, answers, arrived, signal });
        void read(requests, (id) => {
          ids.push(id);
          for (const resolve of arrivals.splice(0)) resolve();
        }).then(
          () => {
            answers.end();
          },
          () => undefined,
        );
        for await (const answer of answers) {
          if (answer instanceof Error) throw answer;
          yield answer;
        }
      },
    });
  }).start();
  const streams = opened[Symbol.asyncIterator]();
  const next = async (): Promise<Stream> => {
    const { value } = await streams.next();
    assert.ok(value);
    return value;
  };
  return { server, next, states };
}

async function read(requests: AsyncIterable<WatchResultsRequest>, take: (id: string) => void): Promise<void> {
  for await (const { id } of requests) take(id);
}

it('shares_one_stream_and_gives_each_its_own_end', async () => {
  const { server, next } = await watched();
  const { trusonafications } = clientOf(server);
  const waits = ['a', 'b', 'c', 'a'].map((id) => trusonafications.wait(id));
  const stream = await next();
  await stream.arrived(3);
  assert.deepEqual(stream.ids, ['a', 'b', 'c']);
  for (const id of ['b', 'a', 'c']) stream.answers.push(accepted(id));
  assert.deepEqual(
    (await Promise.all(waits)).map(({ id, status }) => [id, status]),
    [
      ['a', 'ACCEPTED'],
      ['b', 'ACCEPTED'],
      ['c', 'ACCEPTED'],
      ['a', 'ACCEPTED'],
    ],
  );
  // Everything is answered, so the stream is over, and the next wait opens another.
  const later = trusonafications.wait('d');
  const second = await next();
  await second.arrived(1);
  second.answers.push(accepted('d'));
  assert.equal((await later).id, 'd');
});

it('takes_a_thousand_on_one_stream_and_the_next_on_another', async () => {
  const { server, next } = await watched();
  const { trusonafications } = clientOf(server);
  const ids = Array.from({ length: 1001 }, (_, n) => `t${String(n)}`);
  const waits = ids.map((id) => trusonafications.wait(id));
  const [first, second] = [await next(), await next()];
  await Promise.all([first.arrived(1000), second.arrived(1)]);
  assert.deepEqual([first.ids.length, second.ids], [1000, ['t1000']]);
  for (const stream of [first, second]) for (const id of stream.ids) stream.answers.push(accepted(id));
  assert.deepEqual((await Promise.all(waits)).length, 1001);
});

it('goes_on_after_any_number_of_failures_that_pass_with_growing_pauses', async () => {
  const { server, next } = await watched();
  const environment = new FakeEnvironment();
  environment.chance = 0.999;
  const wait = clientOf(server, environment).trusonafications.wait('a');
  const failures = [
    refusal(Code.Unavailable, { reason: 'STOPPING' }),
    refusal(Code.ResourceExhausted, { reason: 'TOO_MANY_WAITS', retrySeconds: 7 }),
    refusal(Code.Internal),
    ...Array<Error>(10).fill(refusal(Code.Unavailable)),
  ];
  for (const failure of failures) (await next()).answers.push(failure);
  // A stream that ends early without an error is no different.
  (await next()).answers.end();
  const stream = await next();
  await stream.arrived(1);
  stream.answers.push(accepted('a'));
  assert.equal((await wait).status, 'ACCEPTED');
  assert.deepEqual(
    environment.pauses.map((pause) => Math.round(pause / 0.999)),
    [100, 7007, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000],
  );
});

it('goes_on_over_a_restart_of_the_server', async () => {
  const { server, next } = await watched();
  const wait = clientOf(server).trusonafications.wait('a');
  await (await next()).arrived(1);
  await server.stop();
  await server.start();
  const stream = await next();
  await stream.arrived(1);
  stream.answers.push(accepted('a'));
  assert.equal((await wait).id, 'a');
});

it('ends_at_once_for_what_does_not_pass', async () => {
  const { server, next } = await watched();
  const { trusonafications } = clientOf(server);
  const both = ['a', 'b'].map((id) => assert.rejects(trusonafications.wait(id), { reason: 'UNAUTHENTICATED' }));
  (await next()).answers.push(refusal(Code.Unauthenticated, { reason: 'UNAUTHENTICATED' }));
  await Promise.all(both);
});

it('fails_only_the_wait_that_is_refused', async () => {
  const { server, next } = await watched();
  const { trusonafications } = clientOf(server);
  const [missing, refused, good] = [trusonafications.wait('a'), trusonafications.wait('b'), trusonafications.wait('c')];
  const stream = await next();
  await stream.arrived(3);
  stream.answers.push({ id: 'a' });
  stream.answers.push({ id: 'b', error: { code: Code.PermissionDenied, reason: 'NOT_ALLOWED', message: 'no' } });
  await assert.rejects(missing, { reason: 'NOT_FOUND', kind: 'NOT_FOUND' });
  await assert.rejects(refused, { reason: 'NOT_ALLOWED', kind: 'FORBIDDEN', message: 'no' });
  stream.answers.push(accepted('c'));
  assert.equal((await good).id, 'c');
});

it('ends_after_its_time_out_and_lets_the_others_wait', async () => {
  const { server, next } = await watched();
  const { trusonafications } = clientOf(server);
  const good = trusonafications.wait('b');
  const stream = await next();
  const error = {
    reason: 'DEADLINE_EXCEEDED',
    kind: 'UNAVAILABLE',
    retryable: true,
    message: 'it did not end within 0 s',
  };
  await assert.rejects(trusonafications.wait('a', { timeout: 0 }), error);
  await stream.arrived(1);
  stream.answers.push(accepted('b'));
  assert.equal((await good).id, 'b');
});

it('gives_up_the_stream_when_the_last_who_waits_is_gone', async () => {
  const { server, next } = await watched();
  const { trusonafications } = clientOf(server);
  const mine = new Error('mine');
  const [first, second] = [new AbortController(), new AbortController()];
  const one = trusonafications.wait('a', { signal: first.signal });
  const other = trusonafications.wait('b', { signal: second.signal });
  const stream = await next();
  await stream.arrived(2);
  first.abort(mine);
  await assert.rejects(one, mine);
  assert.equal(stream.signal.aborted, false);
  const gone = new Promise((resolve) => {
    stream.signal.addEventListener('abort', resolve);
  });
  second.abort(mine);
  await assert.rejects(other, mine);
  await gone;
});

it('watches_the_state_and_the_end_once_each_over_connections_that_break', async () => {
  const { server, next, states } = await watched();
  states.push(refusal(Code.Unavailable, { reason: 'STOPPING' }), trusonafication('a', Status.IN_PROGRESS, 1n));
  const watching = clientOf(server).trusonafications.watch('a');
  const now = await watching.next();
  assert.equal(now.value?.status, 'IN_PROGRESS');
  const end = watching.next();
  (await next()).answers.push(refusal(Code.Unavailable, { reason: 'STOPPING' }));
  const stream = await next();
  stream.answers.push({ id: 'a', trusonafication: trusonafication('a', Status.REJECTED, 2n) });
  assert.equal((await end).value?.status, 'REJECTED');
  assert.equal((await watching.next()).done, true);
});

it('watches_what_is_over_without_a_stream', async () => {
  const { server, states } = await watched();
  states.push(trusonafication('a', Status.EXPIRED, 2n));
  const seen: string[] = [];
  for await (const { status } of clientOf(server).trusonafications.watch('a')) seen.push(status);
  assert.deepEqual(seen, ['EXPIRED']);
});

it('stops_watching_when_the_caller_leaves', async () => {
  const { server, next, states } = await watched();
  states.push(trusonafication('a', Status.IN_PROGRESS), trusonafication('a', Status.IN_PROGRESS));
  const { trusonafications } = clientOf(server);
  for await (const { status } of trusonafications.watch('a')) {
    assert.equal(status, 'IN_PROGRESS');
    break;
  }
  const [mine, leaving] = [new Error('mine'), new AbortController()];
  const watching = trusonafications.watch('a', { signal: leaving.signal });
  await watching.next();
  const end = watching.next();
  const stream = await next();
  await stream.arrived(1);
  const gone = new Promise((resolve) => {
    stream.signal.addEventListener('abort', resolve);
  });
  leaving.abort(mine);
  await assert.rejects(end, mine);
  await gone;
});

it('does_not_watch_what_does_not_exist', async () => {
  const { server, states } = await watched();
  states.push(refusal(Code.NotFound, { reason: 'NOT_FOUND' }));
  await assert.rejects(clientOf(server).trusonafications.watch('a').next(), { reason: 'NOT_FOUND' });
});

it('refuses_to_wait_for_what_is_no_id_or_for_a_time_that_is_none', async () => {
  const { server } = await watched();
  const { trusonafications } = clientOf(server);
  for (const id of [undefined, 5, 'half a \ud83d'] as unknown as string[]) {
    for (const call of [trusonafications.wait(id), trusonafications.watch(id).next()]) {
      await assert.rejects(call, {
        reason: 'INVALID_PARAMETER',
        fields: [{ field: 'id', description: 'must be text' }],
      });
    }
  }
  for (const timeout of [Number.NaN, -1, 'soon' as unknown as number]) {
    for (const call of [trusonafications.wait('a', { timeout }), trusonafications.watch('a', { timeout }).next()]) {
      await assert.rejects(call, { reason: 'INVALID_PARAMETER' });
    }
  }
});

it('fails_what_is_under_way_and_what_comes_later_when_the_client_is_closed', async () => {
  const { server, next } = await watched();
  const nodkey = clientOf(server);
  const cancelled = { reason: 'CANCELLED', kind: 'UNAVAILABLE', message: 'the client was closed' };
  const waiting = assert.rejects(nodkey.trusonafications.wait('a'), cancelled);
  const watching = assert.rejects(nodkey.trusonafications.watch('a').next());
  await (await next()).arrived(1);
  nodkey.close();
  await Promise.all([waiting, watching]);
  await assert.rejects(nodkey.trusonafications.wait('a'), cancelled);
  await assert.rejects(nodkey.trusonafications.get('a'), cancelled);
  await assert.rejects(nodkey.bindings.list().pages().next(), cancelled);
});
