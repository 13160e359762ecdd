/** `nodkey dev` of a test's own, on free ports and in a folder of its own below target/. */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { promisify } from 'node:util';

/** The top of the repository, from build/test/support. */
export const top = path.resolve(import.meta.dirname, '../../../../..');

/** `nodkey`, which is built already. */
export const binary = path.join(process.env['NODKEY_BIN_DIR'] ?? path.join(top, 'target/debug'), 'nodkey');

/** What `dev.json` says. */
export interface Dev {
  readonly http: string;
  readonly relying_party_id: string;
  readonly ca_certificate: string | null;
  readonly server: { readonly token: string; readonly secret: string };
}

/** A running server. */
export interface Server {
  readonly url: string;
  readonly folder: string;
  readonly dev: Dev;
  /** Runs `nodkey PROGRAM … --json` and returns what it prints. */
  readonly nodkey: (program: string, ...command: readonly string[]) => Promise<Record<string, unknown>>;
  /** Makes a phone and registers it. */
  readonly phone: () => Promise<Phone>;
  /** Ends the process and starts it again with the same data and address. */
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A phone on the terminal. */
export interface Phone {
  readonly device: string;
  /** Answers everything from now on, until what it returns is called. */
  readonly answer: (decision: 'accept' | 'reject' | 'not-me') => Promise<() => Promise<void>>;
}

/** Starts a server; resolves when it is ready. */
export async function start(...options: readonly string[]): Promise<Server> {
  mkdirSync(path.join(top, 'target'), { recursive: true });
  const folder = mkdtempSync(path.join(top, 'target/sdk-typescript-'));
  let child = await run(folder, '127.0.0.1:0', options);
  const dev = JSON.parse(readFileSync(path.join(folder, 'dev.json'), 'utf8')) as Dev;
  // Options first: what is named may begin with a hyphen.
  const nodkey = async (...[program, ...command]: readonly [string, ...string[]]) => {
    const { stdout } = await promisify(execFile)(binary, [program, '--json', '--data-dir', folder, ...command]);
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  let phones = 0;
  return {
    url: dev.http,
    folder,
    dev,
    nodkey,
    async phone() {
      phones += 1;
      const key = `--key=${path.join(folder, `phone-${String(phones)}.json`)}`;
      const device = String((await nodkey('phone', key, 'enrol'))['device_identifier']);
      return {
        device,
        answer: (decision) => answering(['phone', '--data-dir', folder, key, 'wait', '--decide', decision]),
      };
    },
    async restart() {
      await end(child);
      child = await run(folder, new URL(dev.http).host, options);
    },
    async stop() {
      await end(child);
      rmSync(folder, { recursive: true });
    },
  };
}

/** Starts a program, and resolves when it prints such a line; at once without one. What it prints before it fails is in the error. */
export async function until(
  line: RegExp | undefined,
  [program, ...args]: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv = {},
  cwd?: string,
): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }, cwd });
  if (line === undefined) {
    // Nobody reads what it prints, which must not stop it.
    child.stdout.resume();
    child.stderr.resume();
    return child;
  }
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject).once('exit', () => {
      reject(new Error(`${program} ${args.join(' ')}: ${said.join('\n')}`));
    });
    for (const stream of [child.stdout, child.stderr]) {
      readline.createInterface({ input: stream }).on('line', (text) => {
        said.push(text);
        if (line.test(text)) resolve();
      });
    }
  });
  return child;
}

function run(folder: string, address: string, options: readonly string[]): Promise<ChildProcess> {
  const own = ['--http', address, '--grpc', '127.0.0.1:0', '--data-dir', folder, '--demo', 'false'];
  const command = ['dev', ...own, ...options];
  return until(/^Ctrl-C/, [binary, ...command]);
}

async function answering(command: readonly string[]): Promise<() => Promise<void>> {
  const child = await until(/waiting as/, [binary, ...command]);
  return () => end(child);
}

/** Ends a program in order. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}
