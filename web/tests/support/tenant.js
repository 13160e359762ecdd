import { test } from '@playwright/test';

/** @typedef {import('./server.js').Server} Server */
/** @typedef {import('./backend.js').Credential} Credential */
/**
 * A relying party of a test's own.
 *
 * @typedef {object} Tenant
 * @property {string} id
 * @property {string} name
 * @property {(...args: string[]) => Promise<any>} admin `nodkey admin` in its name.
 * @property {(user: string) => Promise<SoftPhone>} register Makes a phone on the command line; bound to nobody yet.
 * @property {(user: string) => Promise<SoftPhone>} enrol Makes one the active phone of a user.
 * @property {(user: string, action: string, ...more: string[]) => Promise<any>} ask Asks a user something.
 */
/** @typedef {{device: string, answer: (decision: 'accept' | 'reject' | 'not-me') => Promise<any>}} SoftPhone */

let tenants = 0;

/**
 * Makes a relying party.
 *
 * @param {Server} server
 * @returns {Promise<Tenant>}
 */
export async function tenant(server) {
  tenants += 1;
  const name = `Shop ${tenants}`;
  const { id } = await server.admin('relying-parties', 'create', name);
  // What tests ask in a row comes faster than anybody may who is no more than a backend.
  await server.admin('--relying-party', id, 'relying-parties', 'update', '--tolerant-prompts', 'true');
  /** @type {Tenant['admin']} */
  const admin = (...command) => server.admin('--relying-party', id, ...command);
  /** @type {Tenant['register']} */
  async function register(user) {
    const { token, secret } = await admin('credentials', 'create', 'mobile');
    const file = test.info().outputPath(`${id}-${user}.json`);
    const options = ['--mobile-token', token, '--mobile-secret', secret, '--key', file];
    const { device_identifier: device } = await server.phone(...options, 'enrol', '--name', `${user}’s phone`);
    const wait = ['wait', '--once', '--timeout', '30'];
    return { device, answer: (decision) => server.phone(...options, ...wait, '--decide', decision) };
  }
  return {
    id,
    name,
    admin,
    register,
    async enrol(user) {
      const phone = await register(user);
      const binding = await admin('bindings', 'create', '--user', user, `--device=${phone.device}`);
      await admin('bindings', 'activate', binding.id);
      return phone;
    },
    ask: (user, action, ...more) =>
      admin('trusonafications', 'create', '--user', user, '--action', action, '--resource', name, ...more),
  };
}
