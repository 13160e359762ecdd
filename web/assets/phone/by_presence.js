/** Signs with the first presence key that is available. */

import { algorithm, signJws, thumbprint } from '../lib/jose.js';
import { PresenceUnavailable } from './errors.js';

/**
 * Signs with the first of these keys whose user verification is available. Its store has the person confirm first.
 * @param {import('./transport.js').PresenceKey[]} keys
 * @param {string} typ
 * @param {object} claims
 * @param {string} reason shown to the person
 * @returns {Promise<string>}
 */
export async function signByPresence(keys, typ, claims, reason) {
  for (const { jwk, sign } of keys) {
    const header = { alg: algorithm(jwk), typ, kid: await thumbprint(jwk) };
    try {
      return await signJws(header, claims, (message) => sign(message, reason));
    } catch (e) {
      if (!(e instanceof PresenceUnavailable)) throw e;
    }
  }
  throw new PresenceUnavailable();
}
