/** WebCrypto keys that cannot be exported. */

import { publicJwk } from '../lib/jose.js';

const ES256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/**
 * Generates an ES256 key pair whose private key cannot be exported.
 * @returns {Promise<CryptoKeyPair>}
 */
export function generateKey() {
  return crypto.subtle.generateKey(ES256, false, ['sign', 'verify']);
}

/**
 * A key store of two keys. `confirm` shows the reason and has the person confirm before the presence key signs; it rejects when they do
 * not.
 * @param {CryptoKeyPair} deviceKey
 * @param {CryptoKeyPair} presenceKey
 * @param {(reason: string) => Promise<void>} confirm
 * @returns {Promise<import('./transport.js').KeyStore>}
 */
export async function keyStore(deviceKey, presenceKey, confirm) {
  return {
    deviceKey: await jwkOf(deviceKey),
    sign: signer(deviceKey),
    presenceKeys: [
      {
        kind: 'biometric',
        jwk: await jwkOf(presenceKey),
        sign: async (message, reason) => {
          await confirm(reason);
          return signer(presenceKey)(message);
        },
      },
    ],
  };
}

/** @param {CryptoKeyPair} pair */
async function jwkOf({ publicKey }) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey);
  return publicJwk({ kty, crv, x, y });
}

/** @param {CryptoKeyPair} pair */
function signer({ privateKey }) {
  /** @param {import('../lib/jose.js').Bytes} message */
  return async (message) => new Uint8Array(await crypto.subtle.sign(ES256, privateKey, message));
}
