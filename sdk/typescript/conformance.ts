/**
 * The program that the runner of sdk/spec/scenarios.json speaks to: a command on each line of standard input, an answer on each line of
 * standard output (sdk/spec/README.md). Once compiled: `node build/conformance.js`.
 */

import readline from 'node:readline';

import { Nodkey, NodkeyError, VerificationError, type Endpoint, type EndpointWithSecret } from './src/index.js';
import { callFunction, type Params } from './test/support/functions.js';
import { fromWire, toWire } from './test/support/wire.js';

interface Command {
  readonly id: number;
  readonly call?: string;
  readonly cancel?: number;
  readonly params?: Params;
}

/** What commands name has to be there, and of the right type: the SDK says so where it is not, and TypeScript has nothing to say here. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Given = any;

interface Options {
  readonly signal: AbortSignal;
}

/** Returns the result of a call, in the forms of the contract where the SDK has another. */
type Call = (nodkey: Nodkey, given: Given, options: Options) => unknown;

const withoutSecret = ({ secret, ...endpoint }: EndpointWithSecret): { endpoint: Endpoint; secret: string } => ({
  endpoint,
  secret,
});

/* eslint-disable @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-unsafe-assignment */
const CALLS: Readonly<Record<string, Call>> = {
  'bindings.create': (nodkey, given, options) => nodkey.bindings.create(given, options),
  'bindings.activate': (nodkey, { id }, options) => nodkey.bindings.activate(id, options),
  'bindings.deactivate': (nodkey, { id }, options) => nodkey.bindings.deactivate(id, options),
  'bindings.get': (nodkey, { id }, options) => nodkey.bindings.get(id, options),
  'bindings.for_device': (nodkey, { device }, options) => nodkey.bindings.forDevice(device, options),
  'bindings.list': (nodkey, given, options) => nodkey.bindings.list(given, options),
  'users.get': (nodkey, { user }, options) => nodkey.users.get(user, options),
  'users.list': (nodkey, given, options) => nodkey.users.list(given, options),
  'users.devices': (nodkey, { user }, options) => nodkey.users.devices(user, options),
  'users.freeze': (nodkey, { user, note }, options) => nodkey.users.freeze(user, { note, ...options }),
  'users.release': (nodkey, { user }, options) => nodkey.users.release(user, options),
  'users.deactivate': async (nodkey, { user }, options) => ({
    deviceIdentifiers: await nodkey.users.deactivate(user, options),
  }),
  'trusonafications.create': async (nodkey, given, options) => {
    const { matchNumber, ...trusonafication } = await nodkey.trusonafications.create(given, options);
    return { trusonafication, matchNumber };
  },
  'trusonafications.get': (nodkey, { id }, options) => nodkey.trusonafications.get(id, options),
  'trusonafications.wait': (nodkey, { id, timeoutSeconds }, options) =>
    nodkey.trusonafications.wait(id, {
      ...options,
      ...(timeoutSeconds !== undefined && { timeout: timeoutSeconds * 1000 }),
    }),
  'trusonafications.watch': (nodkey, { id }, options) => nodkey.trusonafications.watch(id, options),
  'trusonafications.cancel': (nodkey, { id }, options) => nodkey.trusonafications.cancel(id, options),
  'trusonafications.list': (nodkey, given, options) => nodkey.trusonafications.list(given, options),
  'trusonafications.evidence': async (nodkey, { id }, options) =>
    new Document(await nodkey.trusonafications.evidence(id, options)),
  'codes.pairing': (nodkey, { id }, options) => nodkey.codes.pairing(id, options),
  'devices.get': (nodkey, { device }, options) => nodkey.devices.get(device, options),
  'devices.list': (nodkey, given, options) => nodkey.devices.list(given, options),
  'devices.approve_keys': (nodkey, { device, thumbprints }, options) =>
    nodkey.devices.approveKeys(device, thumbprints, options),
  'devices.retire': (nodkey, { device }, options) => nodkey.devices.retire(device, options),
  'documents.register': (nodkey, given, options) => nodkey.documents.register(given, options),
  'documents.get': (nodkey, { id }, options) => nodkey.documents.get(id, options),
  'documents.list': (nodkey, { user, ...filter }, options) => nodkey.documents.list(user, filter, options),
  'endpoints.create': async (nodkey, given, options) => withoutSecret(await nodkey.endpoints.create(given, options)),
  'endpoints.get': (nodkey, { id }, options) => nodkey.endpoints.get(id, options),
  'endpoints.list': (nodkey, given, options) => nodkey.endpoints.list(given, options),
  'endpoints.update': (nodkey, { id, ...changes }, options) => nodkey.endpoints.update(id, changes, options),
  'endpoints.rotate_keys': async (nodkey, { id, ...given }, options) =>
    withoutSecret(await nodkey.endpoints.rotateKeys(id, { ...given, ...options })),
  'endpoints.test': (nodkey, { id }, options) => nodkey.endpoints.test(id, options),
  'endpoints.delete': async (nodkey, { id }, options) => {
    await nodkey.endpoints.delete(id, options);
    return {};
  },
  'deliveries.list': (nodkey, given, options) => nodkey.deliveries.list(given, options),
  'deliveries.get': (nodkey, { id }, options) => nodkey.deliveries.get(id, options),
  'deliveries.redeliver': (nodkey, { id }, options) => nodkey.deliveries.redeliver(id, options),
  'deliveries.redeliver_many': async (nodkey, given, options) => ({
    count: await nodkey.deliveries.redeliverMany(given, options),
  }),
  'jwks.get': async (nodkey, _given, options) => new Document(await nodkey.jwks.get(options)),
  'jwks.archive': async (nodkey, _given, options) => new Document(await nodkey.jwks.archive(options)),
};
/* eslint-enable @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-unsafe-assignment */

/** A result that is JSON already. */
class Document {
  constructor(readonly json: unknown) {}
}

/** The items of a list or a stream, as many as are wanted. */
async function itemsOf(list: AsyncIterable<unknown>, limit: unknown): Promise<unknown[]> {
  const items: unknown[] = [];
  if (limit === 0) return items;
  for await (const item of list) {
    items.push(toWire(item));
    if (items.length === limit) break;
  }
  return items;
}

async function resultOf(client: () => Nodkey, name: string, params: Params, signal: AbortSignal): Promise<unknown> {
  if (/^(verify|hash|bearer)_/.test(name)) return callFunction(name, params);
  const call = CALLS[name];
  if (call === undefined) throw new Error(`there is no call ${name}`);
  const { limit, ...rest } = params;
  const result = await call(client(), fromWire(rest), { signal });
  if (result instanceof Document) return result.json;
  if (Array.isArray(result)) return { items: result.map((item) => toWire(item)) };
  if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
    return { items: await itemsOf(result as AsyncIterable<unknown>, limit) };
  }
  return toWire(result);
}

function errorOf(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted && error === signal.reason) {
    return { reason: 'CANCELLED', kind: 'UNAVAILABLE', message: 'the call was cancelled', retryable: true, fields: [] };
  }
  if (error instanceof VerificationError)
    return { reason: error.reason, ...(error.detail !== undefined && { detail: error.detail }) };
  if (!(error instanceof NodkeyError)) throw error;
  const { reason, kind, message, retryable, fields, retryAfter } = error;
  return {
    reason,
    kind,
    message,
    retryable,
    fields,
    ...(retryAfter !== undefined && { retry_after: retryAfter / 1000 }),
  };
}

/** The client, or the error with which it could not be made, every time. */
function clientOf(): () => Nodkey {
  try {
    const nodkey = new Nodkey();
    return () => nodkey;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

const client = clientOf();
const running = new Map<number, AbortController>();
const say = (answer: Params) => process.stdout.write(`${JSON.stringify(answer)}\n`);

async function run({ id, call = '', params = {} }: Command): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  running.set(id, controller);
  try {
    say({ id, result: await resultOf(client, call, params, signal) });
  } catch (error) {
    say({ id, error: errorOf(error, signal) });
  } finally {
    running.delete(id);
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  if (command.cancel === undefined) void run(command);
  else {
    running.get(command.cancel)?.abort();
    say({ id: command.id, result: {} });
  }
}
// What is still under way is not wanted any more.
process.exit();
