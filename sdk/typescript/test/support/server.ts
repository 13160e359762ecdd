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
  readonly restart: (meanwhile?: () => Promise<void>) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A phone on the terminal. */
export interface Phone {
  readonly device: string;
  /** Answers everything from now on, until what it returns is called. */
  readonly answer: (decision: 'accept' | 'reject' | 'not-me') => Promise<() => Promise<void>>;
}

/** Starts a server; resolves when it is ready. */
export async function start(): Promise<Server> {
  mkdirSync(path.join(top, 'target'), { recursive: true });
  const folder = mkdtempSync(path.join(top, 'target/sdk-typescript-'));
  let child = await run(folder, '127.0.0.1:0');
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
    async restart(meanwhile) {
      await end(child);
      await meanwhile?.();
      child = await run(folder, new URL(dev.http).host);
    },
    async stop() {
      await end(child);
      rmSync(folder, { recursive: true });
    },
  };
}

/** Starts a process, and resolves when a line says that it is ready. */
async function until(line: RegExp, command: readonly string[], stream: 'stdout' | 'stderr'): Promise<ChildProcess> {
  const child = spawn(binary, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject).once('exit', () => {
      reject(new Error(`${binary} ${command.join(' ')}: ${said.join('\n')}`));
    });
    for (const name of ['stdout', 'stderr'] as const) {
      readline.createInterface({ input: child[name] }).on('line', (text) => {
        said.push(text);
        if (name === stream && line.test(text)) resolve();
      });
    }
  });
  return child;
}

function run(folder: string, address: string): Promise<ChildProcess> {
  const command = ['dev', '--http', address, '--grpc', '127.0.0.1:0', '--data-dir', folder, '--demo', 'false'];
  return until(/^Ctrl-C/, command, 'stdout');
}

async function answering(command: readonly string[]): Promise<() => Promise<void>> {
  const child = await until(/waiting as/, command, 'stderr');
  return () => end(child);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}
