/** Calls as curl commands, with a bearer token that the reader supplies (docs/protocol/bearer.md). */
import { curl as command } from '../lib/curl.js';

/**
 * @typedef {object} ShownCall
 * @property {'backend' | 'page'} by who makes it: the bank's backend, with a token, or its page, without
 * @property {string} method
 * @property {string} path
 * @property {unknown} [request] body
 */

/**
 * The command that makes a call. It contains no secret: `$TOKEN` is for the reader to set.
 * @param {string} gateway the deployment's public URL
 * @param {ShownCall} call
 */
export function curl(gateway, { by, method, path, request }) {
  const options = [by === 'backend' && '-H "Authorization: Bearer $TOKEN"'];
  return command(method, gateway + path, { options, body: request });
}
