/** The key statement: the phone signs which presence keys are its own, so that nobody else can claim it (docs/protocol/mobile.md, section 4). */

import { algorithm, signJws, thumbprint } from '../lib/jose.js';
import { KEYS_TYP } from '../lib/key_statement.js';
import { Problem, json } from '../lib/problem.js';

/** Shown to the person before a presence key signs the statement. */
const REASON = 'Register this phone';

/** @typedef {{key_statement?: string, key_signatures?: string[]}} Vouching members of a registration */

/**
 * Fetches a nonce and signs the list of presence keys with the device key, with each presence key, and with the keys they replace, whose
 * stores have the person confirm first. Returns nothing at a gateway without key statements.
 * @param {object} phone
 * @param {string} phone.gateway the gateway's public URL
 * @param {import('./transport.js').Transport} phone.transport
 * @param {import('./transport.js').KeyStore} phone.keys
 * @param {import('./transport.js').PresenceKey[]} [phone.former] replaced presence keys that the gateway still knows
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
  // Sequentially: the person confirms each.
  for (const key of [...presenceKeys, ...former])
    signatures.push(await sign(key.jwk, (message) => key.sign(message, REASON)));
  return { key_statement: statement, key_signatures: signatures };
}
