/** The curl command for an operation, with the example of its request. */
import { curl as command } from '../lib/curl.js';

/**
 * @typedef {object} Operation
 * @property {string} operationId
 * @property {string} [summary]
 * @property {string} [description]
 * @property {string[]} tags
 * @property {Record<string, string[]>[]} [security]
 * @property {Parameter[]} [parameters]
 * @property {{ content: Record<string, Media> }} [requestBody]
 * @property {Record<string, Answer>} responses
 */
/** @typedef {{ $ref?: string, name: string, in: string, required?: boolean, description?: string, schema?: any, example?: any }} Parameter */
/** @typedef {{ schema?: any, example?: any }} Media */
/** @typedef {{ description: string, headers?: Record<string, any>, content?: Record<string, Media> }} Answer */

/** Makes a bearer token with the credential that `nodkey dev` wrote, as a backend does with its own. */
export const TOKEN = `dev=.nodkey/dev.json
secret=$(jq -r .server.secret $dev)
kid=$(jq -r '.server.token | split(".")[1] | gsub("-"; "+") | gsub("_"; "/") | @base64d | fromjson.jti' $dev)
b64u() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
token() {
  local signed
  signed=$(printf '{"alg":"HS256","kid":"%s"}' "$kid" | b64u).$(printf '{"aud":"nodkey","exp":%d}' $(($(date +%s) + 30)) | b64u)
  printf %s "$signed.$(printf %s "$signed" | openssl dgst -sha256 -hmac "$secret" -binary | b64u)"
}`;

/**
 * The command that makes a call.
 * @param {string} server URL of the deployment
 * @param {string} method
 * @param {string} path
 * @param {Operation} operation
 * @param {(parameter: Parameter) => Parameter} resolve follows a reference
 * @returns {string}
 */
export function curl(server, method, path, operation, resolve) {
  const parameters = (operation.parameters ?? []).map(resolve);
  const named = path.replace(/\{(\w+)\}/g, (_, name) => {
    const parameter = parameters.find((it) => it.in === 'path' && it.name === name);
    return encodeURIComponent(String(parameter?.example ?? `<${name}>`)).replaceAll(/%3C|%3E/g, (x) =>
      x === '%3C' ? '<' : '>',
    );
  });
  const query = parameters
    .filter((it) => it.in === 'query' && it.required)
    .map((it) => `${encodeURIComponent(it.name)}=${encodeURIComponent(String(it.example ?? ''))}`);
  const target = `${server.replace(/\/$/, '')}${named}${query.length ? `?${query.join('&')}` : ''}`;
  const schemes = Object.keys(operation.security?.[0] ?? {});
  const options = [
    schemes.includes('bearer') && '-H "Authorization: Bearer $(token)"',
    schemes.includes('mobile') && '-H "Authorization: TRUSONA $mobile_token:$signature" -H "X-Date: $date"',
    schemes.includes('dpop') && '-H "DPoP: $proof"',
  ];
  return command(method, target, { options, body: operation.requestBody?.content['application/json']?.example });
}
