/** What a phone signs about its own keys, so that nobody else can say which are its presence keys (docs/protocol/mobile.md, section 4). */

import { algorithm, signJws, thumbprint } from '../lib/jose.js';
import { KEYS_TYP } from '../lib/key_statement.js';
import { Problem, json } from '../lib/problem.js';

/** What the person is told before a presence key signs that it is one. */
const REASON = 'Register this phone';

/** @typedef {{key_statement?: string, key_signatures?: string[]}} Vouching members of a registration */

/**
 * Asks the gateway for a nonce and signs which presence keys there are: by the device key, by each of them, and by those that they
 * replace, whose store asks the person first. Nothing at a gateway that knows no key statements.
 * @param {object} phone
 * @param {string} phone.gateway the gateway's public URL
 * @param {import('./transport.js').Transport} phone.transport
 * @param {import('./transport.js').KeyStore} phone.keys
 * @param {import('./transport.js').PresenceKey[]} [phone.former] presence keys that the gateway still knows and those of now replace
 * @returns {Promise<Vouching>}
 */
export async function vouch({ gateway, transport, keys, former = [] }) {
  const challenge = await transport.send('POST', '/api/v2/device_challenges').then(json, (e) => {
    if (e instanceof Problem && e.status === 404) return null;
    throw e;
  });
  if (!challenge) return {};
  const { deviceKey, presenceKeys } = keys;
  const stated = presenceKeys.map(async ({ kind, jwk }) => ({ kind, jkt: await thumbprint(jwk) }));
  const claims = {
    iss: await thumbprint(deviceKey),
    aud: gateway,
    seq: challenge.seq,
    keys: await Promise.all(stated),
    nonce: challenge.nonce,
    iat: Math.floor(transport.now() / 1000),
  };
  /**
   * @param {import('../lib/jose.js').PublicJwk} jwk
   * @param {(message: import('../lib/jose.js').Bytes) => Promise<Uint8Array>} signer
   */
  const sign = async (jwk, signer) =>
    signJws({ alg: algorithm(jwk), typ: KEYS_TYP, kid: await thumbprint(jwk) }, claims, signer);
  const statement = await sign(deviceKey, keys.sign);
  const signatures = [];
  // One after the other: the person is asked for each.
  for (const key of [...presenceKeys, ...former])
    signatures.push(await sign(key.jwk, (message) => key.sign(message, REASON)));
  return { key_statement: statement, key_signatures: signatures };
}
