/** A gateway in memory: as much of one as a phone can tell, and as strict. */

import assert from 'node:assert/strict';

import { CHALLENGE_TYP, RESPONSE_TYP, verifyResponse } from '../assets/lib/challenge.js';
import { findKey, parseJws, publicJwk, sha256, signJws, thumbprint, verifyJws } from '../assets/lib/jose.js';
import { signer, vectors } from './vectors.js';

/** The public URL of the gateway. */
export const GATEWAY = 'https://gw.example';
/** What the clock of the tests shows, in milliseconds. */
export const NOW = 1_767_322_809_000;

/**
 * A key store of the vectors' P-256 keys. `confirm` is asked before the presence key signs.
 * @param {(reason: string) => Promise<void>} [confirm]
 * @returns {Promise<import('../assets/phone/transport.js').KeyStore>}
 */
export async function keyStore(confirm = async () => {}) {
  const presence = await signer('presence_p256');
  return {
    deviceKey: vectors.keys.device_p256.jwk,
    sign: await signer('device_p256'),
    presenceKeys: [
      {
        kind: 'biometric',
        jwk: vectors.keys.presence_p256.jwk,
        sign: async (message, reason) => {
          await confirm(reason);
          return presence(message);
        },
      },
    ],
  };
}

/**
 * A challenge of the deployment, with other claims than the vector's.
 * @param {object} [claims]
 * @param {string} [kid]
 */
export async function challenge(claims = {}, kid = vectors.keys.server_ed25519.thumbprint) {
  const whole = { ...vectors.challenge.claims, ...claims };
  return signJws({ alg: 'EdDSA', typ: CHALLENGE_TYP, kid }, whole, await signer('server_ed25519'));
}

/**
 * A secure QR code of the deployment.
 * @param {object} [claims]
 */
export async function trucode(claims = {}) {
  const { thumbprint: kid } = vectors.keys.server_ed25519;
  const whole = { jti: 'reference', exp: NOW + 50_000, ...claims };
  return signJws({ alg: 'EdDSA', typ: 'nodkey-trucode+jwt', kid }, whole, await signer('server_ed25519'));
}

/** Takes calls as `fetch` does, after it verified their proofs. Answers are made by `routes`, by `METHOD /path`. */
export class Gateway {
  /** @type {Record<string, (body: any, call: Request) => Response | Promise<Response>>} */
  routes = {};
  /** @type {string[]} */
  calls = [];
  /** @type {Set<string>} */
  #seen = new Set();
  now = NOW;

  /** @type {typeof fetch} */
  fetch = async (input, init) => {
    const call = new Request(/** @type {string} */ (input), init);
    const { pathname, search } = new URL(call.url);
    const body = new Uint8Array(await call.arrayBuffer());
    this.calls.push(`${call.method} ${pathname}${search}`);
    if (pathname !== '/jwks') {
      const refused = await this.#refuse(call, pathname, body);
      if (refused) return refused;
    }
    const route = this.routes[`${call.method} ${pathname}`];
    assert(route, `no route for ${call.method} ${pathname}`);
    return route(body.length ? JSON.parse(new TextDecoder().decode(body)) : null, call);
  };

  /**
   * @param {Request} call
   * @param {string} path
   * @param {Uint8Array<ArrayBuffer>} body
   */
  async #refuse(call, path, body) {
    const compact = parseJws(call.headers.get('dpop') ?? '');
    const jwk = publicJwk(compact.header.jwk);
    const { jti, htm, htu, iat, bh } = await verifyJws(compact, jwk, 'dpop+jwt');
    assert.equal(htm, call.method);
    assert.equal(htu, GATEWAY + path);
    assert.equal(bh, body.length ? await sha256(body) : undefined);
    assert.match(String(jti), /^[\w-]{22}$/);
    assert(!this.#seen.has(String(jti)), 'a proof is used once');
    this.#seen.add(String(jti));
    assert.equal(await thumbprint(jwk), vectors.keys.device_p256.thumbprint);
    if (Math.abs(Number(iat) - this.now / 1000) <= 60) return null;
    const date = new Date(this.now).toUTCString();
    return problem(401, 'INVALID_PROOF', { date });
  }
}

/**
 * A refusal.
 * @param {number} status
 * @param {string} error
 * @param {Record<string, string>} [headers]
 */
export function problem(status, error, headers) {
  return Response.json({ error, message: error, description: error, field_errors: {} }, { status, headers });
}

/**
 * Verifies a response by the key its header names.
 * @param {string} response
 */
export async function readResponse(response) {
  const compact = parseJws(response);
  const keys = ['device_p256', 'presence_p256'].map((name) => {
    return { ...vectors.keys[name].jwk, kid: vectors.keys[name].thumbprint, typs: [RESPONSE_TYP] };
  });
  return {
    kid: compact.header.kid,
    claims: await verifyResponse(compact, findKey({ keys }, compact.header.kid, RESPONSE_TYP)),
  };
}

/**
 * Everything a generator yields.
 * @template T
 * @param {AsyncIterable<T>} items
 */
export async function collect(items) {
  /** @type {T[]} */
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}
