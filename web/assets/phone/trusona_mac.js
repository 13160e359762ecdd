/** The TRUSONA signature (docs/protocol/trusona.md): registrations carry one by the app's mobile credential. */

import { base64, hex, utf8 } from '../lib/jose.js';
import { md5 } from './md5.js';

/**
 * Returns the string to sign.
 * @param {object} request
 * @param {string} request.method
 * @param {Uint8Array} request.body
 * @param {string} request.contentType empty where the header is absent
 * @param {string} request.date the value of `X-Date`
 * @param {string} request.path with its query
 */
export function stringToSign({ method, body, contentType, date, path }) {
  return [method, md5(body), contentType, date, path].join('\n');
}

/**
 * Signs: base64 of the lower-case hexadecimal HMAC-SHA-256. The secret is used as text.
 * @param {string} secret
 * @param {string} text
 */
export async function mac(secret, text) {
  const hmac = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', utf8(secret), hmac, false, ['sign']);
  return base64(utf8(hex(new Uint8Array(await crypto.subtle.sign(hmac, key, utf8(text))))));
}
