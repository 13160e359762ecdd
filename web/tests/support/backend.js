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
  const body = message ? JSON.stringify(message) : undefined;
  /** @type {Record<string, string>} */
  const headers = { 'x-date': new Date().toUTCString() };
  if (body) headers['content-type'] = 'application/json';
  const md5 = createHash('md5').update(body ?? '');
  const signed = [method, md5.digest('hex'), headers['content-type'] ?? '', headers['x-date'], path].join('\n');
  const mac = createHmac('sha256', secret).update(signed).digest('hex');
  headers.authorization = `TRUSONA ${token}:${Buffer.from(mac).toString('base64')}`;
  return fetch(url + path, { method, body, headers });
}

/** What `probe` returns of a credential that is good, and of one that is not. */
export const GOOD = '404 NOT_FOUND';
export const REFUSED = '403 FORBIDDEN';

/**
 * Asks for something that is not there.
 *
 * @param {{url: string}} server
 * @param {Credential} credential
 */
export async function probe(server, credential) {
  const path = '/api/v2/trusonafications/00000000-0000-7000-8000-000000000000';
  const response = await call(server, credential, 'GET', path);
  return `${response.status} ${(await response.json()).error}`;
}
