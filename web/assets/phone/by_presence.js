/** What a presence key signs, whichever of them can. */

import { algorithm, signJws, thumbprint } from '../lib/jose.js';
import { PresenceUnavailable } from './errors.js';

/**
 * Has the first of these keys sign whose way to check the person is available; its store asks the person first.
 * @param {import('./transport.js').PresenceKey[]} keys
 * @param {string} typ
 * @param {object} claims
 * @param {string} reason what for
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
