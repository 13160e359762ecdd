/** Ids of requests, so that one that is sent again has no second effect. */
import { b64u } from '../lib/jose.js';

/**
 * Makes an id.
 * @returns {string}
 */
export function newRequestId() {
  return b64u(crypto.getRandomValues(new Uint8Array(16)));
}
