/** A gateway that answers what a case of sdk/spec/phone.json says, one call after the other, and verifies what it is sent. */

import assert from 'node:assert/strict';

import { CHALLENGE_TYP, RESPONSE_TYP, challengeHash, verifyResponse } from '../assets/lib/challenge.js';
import { algorithm, parseJws, publicJwk, sha256, signJws, thumbprint, utf8, verifyJws } from '../assets/lib/jose.js';
import { mac, stringToSign } from '../assets/phone/trusona_mac.js';

/** @typedef {{jwk: import('../assets/lib/jose.js').PublicJwk, kid: string, sign: (message: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>}} Key */
/** @typedef {Record<string, Key>} Keys */

/** Its public URL. */
export const URL_OF_GATEWAY = 'https://gw.example';
/** The mobile credential, and its secret. */
export const TOKEN = 'a.b.c';
export const SECRET = 'secret';

/**
 * The keys of the file.
 * @param {Record<string, any>} jwks
 * @returns {Promise<Keys>}
 */
export async function readKeys(jwks) {
  const read = Object.entries(jwks).map(async ([name, { d, ...jwk }]) => {
    const parameters =
      jwk.kty === 'OKP' ? { name: 'Ed25519' } : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('jwk', { ...jwk, d }, parameters, false, ['sign']);
    const sign = async (/** @type {Uint8Array<ArrayBuffer>} */ message) =>
      new Uint8Array(await crypto.subtle.sign(parameters, key, message));
    return [name, { jwk: publicJwk(jwk), kid: await thumbprint(jwk), sign }];
  });
  return Object.fromEntries(await Promise.all(read));
}

/**
 * A key set of these keys.
 * @param {Keys} keys
 * @param {(string | {key: string, typs?: string[], revoked?: boolean})[]} named
 */
export async function jwksOf(keys, named) {
  const published = named.map((one) => {
    const { key, typs = [CHALLENGE_TYP], revoked } = typeof one === 'string' ? { key: one } : one;
    const { jwk, kid } = keys[key];
    return { ...jwk, kid, typs, revoked: revoked && { revoked_at: 1 } };
  });
  return JSON.parse(JSON.stringify({ keys: published }));
}

/** The gateway of a case. */
export class ScriptedGateway {
  #answers;
  #jwks;
  #keys;
  #app;
  #started;
  /** @type {Map<string, string>} What was issued, by trusonafication id. */
  #challenges = new Map();
  #proofs = new Set();
  /** @type {Map<string, string>} */
  #bodies = new Map();

  /**
   * @param {any} test
   * @param {Keys} keys
   * @param {{now: number, log: any[]}} app
   */
  constructor({ answers, jwks = [['deployment']] }, keys, app) {
    this.#answers = [...answers];
    this.#jwks = [...jwks];
    this.#keys = keys;
    this.#app = app;
    this.#started = app.now / 1000;
  }

  assertDone() {
    assert.deepEqual(this.#answers, [], 'nobody called for these');
  }

  /** @type {typeof fetch} */
  fetch = async (input, init) => {
    const call = new Request(/** @type {string} */ (input), init);
    const { pathname } = new URL(call.url);
    const name = `${call.method} ${pathname}`;
    if (pathname === '/jwks') {
      this.#app.log.push({ call: name, fresh: call.cache === 'reload' });
      const named = this.#jwks.length > 1 ? this.#jwks.shift() : this.#jwks[0];
      return Response.json(await jwksOf(this.#keys, named));
    }
    this.#app.log.push(await this.#verify(call, name, pathname));
    assert(this.#answers.length, `there is no answer to ${name}`);
    return this.#render(this.#answers.shift());
  };

  /**
   * Verifies a call, and says what it is.
   * @param {Request} call
   * @param {string} name
   * @param {string} path
   */
  async #verify(call, name, path) {
    const text = await call.text();
    const compact = parseJws(call.headers.get('dpop') ?? '');
    const jwk = publicJwk(compact.header.jwk);
    const { jti, htm, htu, iat, bh } = await verifyJws(compact, jwk, 'dpop+jwt');
    assert.deepEqual([htm, htu, bh], [call.method, URL_OF_GATEWAY + path, text ? await sha256(utf8(text)) : undefined]);
    assert.equal(await thumbprint(jwk), this.#keys.device.kid);
    assert(!this.#proofs.has(jti), 'a proof is for one call');
    this.#proofs.add(jti);
    /** @type {any} */
    const entry = { call: name };
    const offset = Number(iat) - Math.floor(this.#app.now / 1000);
    if (offset) entry.clock = offset;
    if (text && this.#bodies.get(name) === text) entry.again = true;
    this.#bodies.set(name, text);
    const authorization = call.headers.get('authorization');
    if (authorization) {
      const date = call.headers.get('x-date') ?? '';
      const signable = { method: call.method, body: utf8(text), contentType: 'application/json', date, path };
      entry.credential = authorization === `TRUSONA ${TOKEN}:${await mac(SECRET, stringToSign(signable))}`;
    }
    const body = text ? JSON.parse(text) : undefined;
    if (typeof body?.response === 'string') return { ...entry, ...(await this.#readResponse(body.response)) };
    return body ? { ...entry, body } : entry;
  }

  /** @param {string} response */
  async #readResponse(response) {
    const compact = parseJws(response);
    const by = Object.keys(this.#keys).find((name) => this.#keys[name].kid === compact.header.kid);
    assert(by);
    const { jwk } = this.#keys[by];
    assert.equal(compact.header.typ, RESPONSE_TYP);
    const claims = await verifyResponse(compact, jwk);
    assert.deepEqual([claims.iss, claims.aud], [this.#keys.device.kid, URL_OF_GATEWAY]);
    assert.equal(claims.chal, await challengeHash(this.#challenges.get(claims.sub) ?? ''));
    assert(claims.jti.length >= 22);
    return { signed_by: by, claims };
  }

  /** @param {any} answer */
  async #render(answer) {
    if (answer === 'nothing') throw new TypeError('network');
    if (answer.events) {
      let text = ': open\n\n';
      for (const event of answer.events) text += await this.#event(event);
      return new Response(text, { headers: { 'content-type': 'text/event-stream' } });
    }
    const { status, error, headers = {}, date } = answer;
    const body = error === undefined ? answer.body : { error, message: error, description: error, field_errors: {} };
    const dated = date === undefined ? {} : { date: new Date((this.#started + date) * 1000).toUTCString() };
    const text = JSON.stringify(body).replaceAll('{device}', this.#keys.device.kid);
    return new Response(text, { status, headers: { 'content-type': 'application/json', ...headers, ...dated } });
  }

  /** @param {any} event */
  async #event(event) {
    const sse = (/** @type {string} */ name, /** @type {string} */ data) => `event: ${name}\ndata: ${data}\n\n`;
    if (event === 'synced') return sse('synced', '{}');
    if (event.closed) return sse('closed', JSON.stringify({ id: event.closed }));
    if (event.ask) return sse('trusonafication', JSON.stringify(await this.#ask(event.ask)));
    return sse(event.event, event.data);
  }

  /**
   * Issues a challenge.
   * @param {any} ask
   */
  async #ask({ id, claims: more, signed_by: by = 'deployment', kid = by, typ = CHALLENGE_TYP, item }) {
    const claims = {
      iss: URL_OF_GATEWAY,
      jti: id,
      iat: -10,
      exp: 290,
      rp: { id: 'r', name: 'Acme Bank' },
      act: 'log in',
      res: 'Acme',
      lvl: 2,
      prompt: true,
      presence: true,
      document: false,
      nonce: 'n',
      ...more,
    };
    claims.iat += this.#started;
    claims.exp += this.#started;
    const { jwk, sign } = this.#keys[by];
    const jws = await signJws({ alg: algorithm(jwk), typ, kid: this.#keys[kid].kid }, claims, sign);
    this.#challenges.set(id, jws);
    return { id, challenge: jws, expires_at: '2026-01-02T03:05:00Z', ...item };
  }
}
