/** The package as it is published, in a project of its own. */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { start, top, type Server } from './support/server.js';

const sdk = path.join(top, 'sdk/typescript');
const project = path.join(top, 'target/sdk-typescript/project');

/** Runs a program in the project. Returns what it prints, or fails with it. */
async function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const env = { ...process.env, ...options.env };
  const { stdout } = await promisify(execFile)(program, args, { cwd: options.cwd ?? project, env, maxBuffer: 1 << 24 });
  return stdout;
}

/** The code of the README, in order. */
function blocks(readme: string): string[] {
  return [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, text]) => text ?? '');
}

describe('a fresh project', () => {
  let server: Server;
  let environment: NodeJS.ProcessEnv;
  let [began, size] = [0, 0];
  const readme = readFileSync(path.join(sdk, 'README.md'), 'utf8');

  before(async () => {
    began = performance.now();
    rmSync(project, { recursive: true, force: true });
    mkdirSync(project, { recursive: true });
    // Built already: building it now would pull it from under the tests that run beside this one.
    const packed = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], {
      cwd: sdk,
    });
    const [{ filename, size: bytes }] = JSON.parse(packed) as [{ filename: string; size: number }];
    size = bytes;
    writeFileSync(path.join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${filename}`]);
    server = await start();
    const { token, secret } = server.dev.server;
    environment = { NODKEY_URL: server.url, NODKEY_TOKEN: token, NODKEY_SECRET: secret };
  });
  after(async () => {
    await server.stop();
  });

  it('logs_in_as_the_readme_does', async (test) => {
    const [login = ''] = blocks(readme);
    const length = login.split('\n').filter((line) => line.trim() !== '').length;
    assert.ok(length <= 30, 'thirty lines');
    writeFileSync(path.join(project, 'login.js'), login);
    const phone = await server.phone();
    for (const [args, decision, code, said] of [
      [['ada', phone.device], 'accept', 0, 'signed in: ada at level 2'],
      [['ada'], 'accept', 0, 'signed in: ada at level 2'],
      [['ada'], 'reject', 1, 'not signed in: REJECTED'],
    ] as const) {
      const child = spawn('node', ['login.js', ...args], { cwd: project, env: { ...process.env, ...environment } });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      assert.equal((await lines.next()).value, 'look at your phone');
      const stop = await phone.answer(decision);
      assert.equal((await lines.next()).value, said);
      assert.equal(await ended, code);
      await stop();
      if (args.length === 1) continue;
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      test.diagnostic(
        `${seconds} s from an empty folder to the first login, of ${String(length)} lines, with the start of nodkey dev`,
      );
    }
  });

  it('has_types_that_need_nothing_but_those_of_node', async () => {
    writeFileSync(
      path.join(project, 'use.ts'),
      `import { Nodkey, verifyEvidence, type NewTrusonafication } from '@nodkey/server';
import { webhooks } from '@nodkey/server/express';
const nodkey = new Nodkey();
const request: NewTrusonafication = { user: 'ada', action: 'log in', resource: 'Acme Bank' };
const { id } = await nodkey.trusonafications.create(request);
const { receipt } = await verifyEvidence(await nodkey.trusonafications.evidence(id), { jwks: nodkey.jwks });
receipt.status satisfies string;
// @ts-expect-error a request has one target
await nodkey.trusonafications.create({ user: 'ada', device: 'd', action: 'log in', resource: 'Acme Bank' });
webhooks({ key: 'whsec_', jwks: nodkey.jwks, relyingParty: 'rp', onResult: ({ receipt: { sub } }) => void sub });
`,
    );
    const options = {
      strict: true,
      exactOptionalPropertyTypes: true,
      module: 'NodeNext',
      target: 'ES2022',
      lib: ['ES2024'],
      noEmit: true,
    };
    const compilerOptions = {
      ...options,
      skipLibCheck: false,
      types: ['node'],
      typeRoots: [path.join(sdk, 'node_modules/@types')],
    };
    writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
    await run(path.join(sdk, 'node_modules/.bin/tsc'), ['-p', '.']);
  });

  it('has_everything_that_the_readme_uses', async () => {
    const [, ...others] = blocks(readme);
    assert.equal(others.length, 3);
    const names = ['app', 'express', 'showCode', 'finish', 'look'].map((name) => `/** @type {any} */ let ${name};`);
    const imports = "import { Nodkey, NodkeyError } from '@nodkey/server';\nconst nodkey = new Nodkey();";
    writeFileSync(path.join(project, 'readme.js'), [imports, ...names, ...others].join('\n'));
    const options = {
      allowJs: true,
      checkJs: true,
      module: 'NodeNext',
      target: 'ES2022',
      lib: ['ES2024'],
      noEmit: true,
    };
    const compilerOptions = { ...options, types: ['node'], typeRoots: [path.join(sdk, 'node_modules/@types')] };
    writeFileSync(
      path.join(project, 'tsconfig.readme.json'),
      JSON.stringify({ compilerOptions, files: ['readme.js'] }),
    );
    await run(path.join(sdk, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.readme.json']);
  });

  it('brings_three_packages_besides_itself', async (test) => {
    test.diagnostic(`${String(size)} bytes of package; it brings 3 packages`);
    const list = await run('npm', ['ls', '--all', '--parseable']);
    const names = list
      .trim()
      .split('\n')
      .slice(1)
      .map((folder) => folder.split('node_modules/').at(-1));
    assert.deepEqual(names.sort(), [
      '@bufbuild/protobuf',
      '@connectrpc/connect',
      '@connectrpc/connect-node',
      '@nodkey/server',
    ]);
  });
});
