import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Problem, call, json, orNull, send } from '../assets/lib/problem.js';

/** @param {() => Promise<Response>} answer */
const answering = (answer) => /** @type {typeof fetch} */ (answer);

test('a refusal is a problem with its reason and fields', async () => {
  const body = {
    error: 'VALIDATION_FAILED',
    message: 'no',
    description: 'no',
    field_errors: { user: ['must not be blank'] },
  };
  const fetch = answering(async () => Response.json(body, { status: 422 }));
  await assert.rejects(send('/', {}, fetch), (e) => {
    assert(e instanceof Problem);
    assert.deepEqual([e.status, e.error, e.message], [422, 'VALIDATION_FAILED', 'no']);
    assert.deepEqual(e.fieldErrors, body.field_errors);
    assert.equal(e.isPassing, false);
    assert.equal(e.sentence, 'No.');
    return true;
  });
});

test('an answer that is no problem of ours is one that says so', async () => {
  const fetch = answering(async () => new Response('<html>', { status: 502 }));
  await assert.rejects(send('/', {}, fetch), { status: 502, error: 'UNEXPECTED', isPassing: true });
  await assert.rejects(json(new Response('<html>')), { status: 200, error: 'UNEXPECTED' });
});

test('no answer is a problem that passes, a call given up is none', async () => {
  const fetch = answering(async () => Promise.reject(new TypeError('failed')));
  await assert.rejects(send('/', {}, fetch), { status: 0, error: 'UNREACHABLE', isPassing: true });
  const signal = AbortSignal.abort();
  await assert.rejects(send('/', { signal }, fetch), { name: 'AbortError' });
});

test('a call sends JSON and reads JSON, or nothing', async (t) => {
  const fetch = t.mock.method(globalThis, 'fetch', async () => Response.json({ ok: true }));
  assert.deepEqual(await call('POST', '/x', { body: { a: 1 } }), { ok: true });
  const [url, init] = /** @type {any} */ (fetch.mock.calls[0].arguments);
  assert.deepEqual([url, init.method, init.body], ['/x', 'POST', '{"a":1}']);
  assert.equal(init.headers.get('content-type'), 'application/json');
  fetch.mock.mockImplementation(async () => new Response(null, { status: 204 }));
  assert.equal(await call('DELETE', '/x'), null);
});

test('what does not exist is null, and any other problem stays one', async () => {
  assert.equal(await orNull(Promise.reject(new Problem(404, 'NOT_FOUND', 'no'))), null);
  assert.equal(await orNull(Promise.resolve(1)), 1);
  await assert.rejects(orNull(Promise.reject(new Problem(403, 'FORBIDDEN', 'no'))), { status: 403 });
});
