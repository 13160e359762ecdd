/** Every case of every file of sdk/spec/vectors. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';

import { NodkeyError, VerificationError } from '../src/index.js';
import { callFunction, type Params } from './support/functions.js';

interface Case {
  readonly name: string;
  readonly input: Params;
  readonly expect: { readonly ok?: unknown; readonly error?: string; readonly detail?: string };
}

type File = Params & { readonly about: readonly string[]; readonly cases: readonly Case[] };

const folder = path.resolve(import.meta.dirname, '../../../spec/vectors');

/** Which function each file is about. */
const FILES: Readonly<Record<string, string>> = {
  'bearer.json': 'bearer_token',
  'webhooks.json': 'verify_webhook',
  'results.json': 'verify_result',
  'receipts.json': 'verify_receipt',
  'evidence.json': 'verify_evidence',
  'device-identifiers.json': 'verify_device_identifier',
  'user-identifiers.json': 'hash_user_identifier',
};

/** What happened, as a case expects it. */
async function outcomeOf(name: string, input: Params): Promise<Case['expect']> {
  try {
    return { ok: await callFunction(name, input) };
  } catch (error) {
    if (error instanceof NodkeyError) return { error: error.reason };
    if (!(error instanceof VerificationError)) throw error;
    return { error: error.reason, ...(error.detail !== undefined && { detail: error.detail }) };
  }
}

it('knows_every_file_and_misses_none', () => {
  assert.deepEqual(readdirSync(folder).sort(), Object.keys(FILES).sort());
});

for (const [file, name] of Object.entries(FILES)) {
  const { about, cases, ...shared } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as File;
  describe(`${file}: ${about[0] ?? ''}`, () => {
    for (const { name: promise, input, expect, ...unknown } of cases) {
      it(promise, async () => {
        assert.deepEqual(unknown, {});
        assert.deepEqual(await outcomeOf(name, { ...shared, ...input }), expect);
      });
    }
  });
}
