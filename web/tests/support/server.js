import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import readline from 'node:readline';
import { promisify } from 'node:util';

const top = path.resolve(import.meta.dirname, '../../..');
const binary = path.join(process.env.NODKEY_BIN_DIR ?? path.join(top, 'target/debug'), 'nodkey');

/**
 * A running `nodkey dev` of a test's own.
 *
 * @typedef {object} Server
 * @property {string} url The gateway.
 * @property {string} folder Where its data is, and `dev.json`.
 * @property {string} invitation The link of the console's first owner.
 * @property {(...args: string[]) => Promise<any>} admin Runs `nodkey admin … --json`, and reads what it prints.
 * @property {(...args: string[]) => Promise<any>} phone Runs `nodkey phone … --json`, and reads what it prints.
 * @property {() => Promise<void>} stop
 */

/**
 * Starts `nodkey dev` on free ports with an empty folder; resolves when it is ready.
 *
 * @param {...string} args More of its arguments.
 * @returns {Promise<Server>}
 */
export async function start(...args) {
  const folder = await mkdtemp(path.join(top, 'target/browser-'));
  const listen = ['--http', '127.0.0.1:0', '--grpc', '127.0.0.1:0', '--data-dir', folder];
  const child = spawn(binary, ['dev', ...listen, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const told = /** @type {{url?: string, invitation?: string}} */ ({});
  for await (const line of readline.createInterface({ input: child.stdout })) {
    told.url = line.match(/HTTP and gRPC\s+(\S+)/)?.[1] ?? told.url;
    told.invitation = line.match(/its first owner\s+(\S+)/)?.[1] ?? told.invitation;
    if (line.startsWith('Ctrl-C')) break;
  }
  if (!told.url || !told.invitation)
    throw new Error('nodkey dev did not start; build it first: cargo build --bin nodkey');
  // Options first: what is named may begin with a hyphen, and then comes after `--`.
  const options = ['--json', '--data-dir', folder];
  return {
    url: told.url,
    folder,
    invitation: told.invitation,
    admin: (...command) => run(['admin', ...options, ...command]),
    phone: (...command) => run(['phone', ...options, ...command]),
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

/**
 * Runs `nodkey`, and reads the JSON that it prints.
 *
 * @param {string[]} command
 * @param {NodeJS.ProcessEnv} [env] besides that of this process
 * @returns {Promise<any>}
 */
export async function run(command, env) {
  const { stdout } = await promisify(execFile)(binary, command, { env: { ...process.env, ...env } });
  return JSON.parse(stdout);
}
