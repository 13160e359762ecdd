import { createHash, createHmac } from 'node:crypto';

/** @typedef {{token: string, secret: string}} Credential */

/**
 * Calls the gateway as a backend does, signed in the TRUSONA scheme.
 *
 * @param {{url: string}} server
 * @param {Credential} credential
 * @param {string} method
 * @param {string} path
 * @param {object} [message]
 */
export function call({ url }, { token, secret }, method, path, message) {
  const body = message && JSON.stringify(message);
  const type = body ? 'application/json' : '';
  const date = new Date().toUTCString();
  const md5 = createHash('md5').update(body ?? '').digest('hex');
  const mac = createHmac('sha256', secret).update([method, md5, type, date, path].join('\n')).digest('hex');
  const authorization = `TRUSONA ${token}:${Buffer.from(mac).toString('base64')}`;
  return fetch(url + path, { method, body, headers: { authorization, 'x-date': date, ...(body && { 'content-type': type }) } });
}
