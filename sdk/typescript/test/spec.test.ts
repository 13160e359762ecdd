/** Whether what sdk/spec/server.json says is here. What calls do is in calls.test.ts, waits.test.ts and the scenarios. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';

import { Code } from '@connectrpc/connect';

import { KINDS } from '../src/error.js';
import * as sdk from '../src/index.js';
import { errorOf } from '../src/status.js';
import { FakeServer, clientOf, refusal } from './support/fake.js';

interface Spec {
  readonly retry: { readonly codes_without_reason: readonly string[] };
  readonly calls: readonly {
    readonly name: string;
    readonly items?: string;
    readonly pages?: boolean;
    readonly stream?: boolean;
  }[];
  readonly functions: readonly { readonly name: string; readonly errors: readonly string[] }[];
  readonly errors: {
    readonly kinds: readonly string[];
    readonly retryable_kinds: readonly string[];
    readonly kinds_of_codes: Readonly<Record<string, string>>;
  };
}

const file = path.resolve(import.meta.dirname, '../../../spec/server.json');
const spec = JSON.parse(readFileSync(file, 'utf8')) as Spec;
const camel = (name: string) => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const pascal = (name: string) =>
  name.toLowerCase().replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());

it('has_every_call_and_lists_are_iterators', async () => {
  const server = await new FakeServer(() => undefined).start();
  const nodkey = clientOf(server) as unknown as Record<
    string,
    Record<string, (...args: unknown[]) => unknown> | undefined
  >;
  for (const { name, pages = false, stream = false } of spec.calls) {
    const [resource = '', method = ''] = name.split('.').map(camel);
    assert.equal(typeof nodkey[resource]?.[method], 'function', name);
    if (!pages && !stream) continue;
    const listed = nodkey[resource]?.[method]?.('x');
    assert.ok(typeof listed === 'object' && listed !== null && Symbol.asyncIterator in listed, name);
  }
});

it('has_every_function', () => {
  for (const { name } of spec.functions)
    assert.equal(typeof (sdk as Record<string, unknown>)[camel(name)], 'function', name);
});

it('knows_the_kinds_of_errors_and_which_of_them_pass', () => {
  assert.deepEqual(KINDS, spec.errors.kinds);
  for (const [name, kind] of Object.entries(spec.errors.kinds_of_codes)) {
    // Connect spells this one in American.
    const code = Code[(name === 'CANCELLED' ? 'Canceled' : pascal(name)) as keyof typeof Code];
    const retryable = spec.errors.retryable_kinds.includes(kind);
    const said = errorOf(refusal(code, { reason: 'SAID_SO' }));
    assert.deepEqual([said.reason, said.kind, said.retryable], ['SAID_SO', kind, retryable]);
    // Nobody of ours said anything: the connection broke.
    const broke = spec.retry.codes_without_reason.includes(name);
    const error = errorOf(refusal(code));
    assert.deepEqual([error.reason, error.kind], broke ? ['UNAVAILABLE', 'UNAVAILABLE'] : [name, kind]);
  }
});
