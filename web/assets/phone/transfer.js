/** Transfers an account to a new phone, or adds the new one beside this one: what both phones sign (docs/guides/phones.md). */

import { JoseError, algorithm, b64uDecode, includes, isAudience, parseJws, signJws, thumbprint } from '../lib/jose.js';
import { json } from '../lib/problem.js';
import { signByPresence } from './by_presence.js';
import { Untrusted } from './errors.js';

/** The `typ` of the new phone's request. */
const REQUEST_TYP = 'nodkey-transfer-request+jwt';
/** The `typ` of the bound phone's statement, and of its presence key's signature over it. */
const TYP = 'nodkey-transfer+jwt';

/** @typedef {'replace' | 'add'} Act whether this phone is retired or stays beside the new one */
/**
 * @typedef {object} Signer
 * @property {string} gateway the gateway's public URL
 * @property {import('./transport.js').Transport} transport
 * @property {import('./transport.js').KeyStore} keys
 */
/**
 * The content of a new phone's code. The gateway verifies it.
 * @typedef {object} TransferRequest
 * @property {string} code
 * @property {string} device the new phone
 * @property {import('../lib/jose.js').Audience} audience the gateway's public URL
 */

/**
 * Creates the code that the new phone shows. It is valid for ten minutes.
 * @param {Signer} phone
 * @returns {Promise<string>}
 */
export async function transferRequest({ gateway, transport, keys }) {
  const { deviceKey, sign } = keys;
  const claims = { iss: await thumbprint(deviceKey), aud: gateway, nonce: await nonce(transport) };
  return signJws({ alg: algorithm(deviceKey), typ: REQUEST_TYP }, claims, sign);
}

/**
 * Reads scanned or pasted text; null when it is another kind of code.
 * @param {string} text
 * @returns {TransferRequest | null}
 */
export function readTransferRequest(text) {
  const code = text.trim();
  try {
    const { header, payload } = parts(code);
    if (header.typ !== REQUEST_TYP) return null;
    const { iss, aud } = payload;
    return typeof iss === 'string' && isAudience(aud) ? { code, device: iss, audience: aud } : null;
  } catch (e) {
    if (e instanceof JoseError || e instanceof SyntaxError) return null;
    throw e;
  }
}

/** @param {string} code */
function parts(code) {
  const { header } = parseJws(code);
  return { header, payload: JSON.parse(new TextDecoder().decode(b64uDecode(code.split('.')[1]))) };
}

/**
 * Transfers this phone's account to the new phone, or adds the new one beside it. The presence key's store has the person confirm.
 * @param {Signer} phone
 * @param {TransferRequest} request
 * @param {Act} act
 */
export async function transfer({ gateway, transport, keys }, request, act) {
  const { deviceKey, presenceKeys } = keys;
  const iss = await thumbprint(deviceKey);
  if (!includes(request.audience, gateway)) throw new Untrusted('ISSUER');
  if (request.device === iss || !presenceKeys.length) throw new Untrusted('MISMATCH');
  const iat = Math.floor(transport.now() / 1000);
  const claims = { iss, sub: request.device, aud: gateway, act, nonce: await nonce(transport), iat };
  const reason = act === 'replace' ? 'Move to the new phone' : 'Add another phone';
  const body = {
    statement: await signJws({ alg: algorithm(deviceKey), typ: TYP, kid: iss }, claims, keys.sign),
    signature: await signByPresence(presenceKeys, TYP, claims, reason),
    request: request.code,
  };
  await transport.send('POST', '/api/v2/device_transfers', { body });
}

/** @param {import('./transport.js').Transport} transport */
async function nonce(transport) {
  const challenge = await json(await transport.send('POST', '/api/v2/device_challenges'));
  return challenge.nonce;
}
