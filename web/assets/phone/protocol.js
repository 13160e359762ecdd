/**
 * The phone's half of the mobile protocol (docs/protocol/mobile.md), as a reference for app developers: what to send, what to check, and
 * what never to do. Section numbers refer to that document.
 *
 * The platform provides a key store, a clock, `fetch` and randomness. Everything else is here and touches neither a page nor storage.
 * Left out, because a browser has no use for it: registering identity documents.
 *
 *     const phone = await Phone.open({ gateway: 'https://auth.example', keys });
 *     const device = await phone.register({ token, secret }, { name: "Ada's phone" });
 *     // The app's backend receives device.device_identifier_jwt and binds the device to its user. Then:
 *     for await (const event of phone.events()) {
 *       // Show the request if `isShown`, and let the person decide.
 *       if (event.type === 'prompt') await phone.respond(event.pending, 'accept');
 *     }
 */

import { RESPONSE_TYP, challengeHash } from '../lib/challenge.js';
import { algorithm, signJws, thumbprint } from '../lib/jose.js';
import { Problem, json } from '../lib/problem.js';
import { serverEvents } from '../lib/sse.js';
import { signByPresence } from './by_presence.js';
import { Reader, needsPresence } from './pending.js';
import { transfer, transferRequest } from './transfer.js';
import { Transport } from './transport.js';
import { payloadOf, verifyPayload } from './trucode.js';
import { mac, stringToSign } from './trusona_mac.js';
import { Untrusted } from './errors.js';
import { KeySet } from './trust.js';
import { vouch } from './vouching.js';

/** @typedef {import('../lib/jose.js').Jwks} Jwks */
/**
 * @typedef {object} Config
 * @property {string} gateway the gateway's public URL without a trailing slash: the audience of proofs and the issuer of challenges
 * @property {string} [origin] where it is reachable, if elsewhere
 * @property {import('./transport.js').KeyStore} keys
 * @property {Jwks} [jwks] the deployment's known keys; fetched when absent or when a challenge names a new one
 * @property {boolean} [isPinned] whether only `jwks`, which come with the app, are accepted
 * @property {(jwks: Jwks) => void} [onJwks] receives fetched keys, to store them
 * @property {import('./transport.js').Clock} [clock]
 * @property {typeof globalThis.fetch} [fetch]
 * @property {import('./transport.js').Random} [random]
 * @property {number} [patience] milliseconds after which a silent stream is considered buffered by a proxy
 */
/**
 * @typedef {object} Device
 * @property {string} device_identifier
 * @property {string} device_identifier_jwt the device identifier signed by the deployment, for the app's backend
 * @property {boolean} is_active whether an active binding exists
 * @property {string[]} [capabilities] capabilities that the gateway knows of; absent at older gateways
 * @property {boolean} [certified] whether the device vouches for its presence keys; absent at older gateways
 * @property {HeldKey[]} [presence_keys] the device's presence keys; absent at older gateways
 * @property {UserDevice[]} [user_devices] the user's active devices, including this one, in order of activation; only from `status`,
 *   and absent at older gateways
 */
/**
 * A presence key as the gateway knows it. One that does not count proves only the phone: level 1.
 * @typedef {{kind: 'biometric' | 'credential', thumbprint: string, counts: boolean, since: string | null}} HeldKey
 */
/** @typedef {{activated_at: string, is_this: boolean}} UserDevice */
/** @typedef {import('./pending.js').Pending} Pending */
/** @typedef {import('./pending.js').PhoneEvent} PhoneEvent */
/** @typedef {{id: string, status: 'ACCEPTED' | 'ACCEPTED_AT_LOWER_LEVEL' | 'ACCEPTED_AT_HIGHER_LEVEL' | 'REJECTED', accepted_level: number, held_until?: string}} Answer */

/** Optional capabilities of this phone. `match6`: it accepts numbers with as many digits as the challenge says. */
const CAPABILITIES = ['match6'];
/** The gateway sends something immediately when a stream begins. In milliseconds. */
const PATIENCE = 10_000;
/** How long a poll waits for a request, in seconds. */
const WAIT = 25;
/** Interval of polls while a request waits for the person, in milliseconds: such polls return immediately. */
const POLL_INTERVAL = 2_000;

/** One device key at one gateway. */
export class Phone {
  #gateway;
  #keys;
  #trusted;
  #reader;
  #transport;
  #patience;
  /** Whether something between here and the gateway buffers streams. */
  #isBuffered = false;

  /**
   * Creates a phone. Nothing is sent yet.
   * @param {Config} config
   */
  static async open(config) {
    return new Phone(config, await thumbprint(config.keys.deviceKey));
  }

  /**
   * Use `open`.
   * @param {Config} config
   * @param {string} deviceIdentifier
   */
  constructor(config, deviceIdentifier) {
    const { gateway, origin = gateway, keys, jwks, isPinned, onJwks } = config;
    const { clock, fetch, random, patience = PATIENCE } = config;
    this.#gateway = gateway;
    this.#keys = keys;
    this.#patience = patience;
    const transport = new Transport({ gateway, origin, keys, clock, fetch, random });
    this.#transport = transport;
    this.#trusted = new KeySet({ transport, jwks, isPinned, onJwks });
    this.#reader = new Reader(gateway, this.#trusted, () => transport.now());
    /** The thumbprint of the device key. */
    this.deviceIdentifier = deviceIdentifier;
  }

  /** The current time in milliseconds, by the gateway's clock if the device's was found to be off. */
  now() {
    return this.#transport.now();
  }

  /**
   * Section 4: registers the device, or updates its keys at the gateway. The device key and each presence key sign the list of keys, so
   * the person confirms once for each presence key.
   * @param {{token: string, secret: string}} credential the app's mobile credential, used for nothing else
   * @param {{name: string, platform?: 'ios' | 'android' | 'web' | 'cli' | 'other', appVersion?: string}} about name and platform of the phone,
   *   and the app's version, preceded by its name if there are several apps
   * @returns {Promise<Device>}
   */
  async register({ token, secret }, { name, platform = 'other', appVersion }) {
    const presenceKeys = this.#keys.presenceKeys.map(({ kind, jwk }) => ({ kind, jwk }));
    const body = {
      device_key: this.#keys.deviceKey,
      presence_keys: presenceKeys,
      name,
      platform,
      app_version: appVersion,
      capabilities: CAPABILITIES,
      ...(await vouch({ gateway: this.#gateway, transport: this.#transport, keys: this.#keys })),
    };
    /** @param {import('./transport.js').Signable} signable */
    const authorize = async (signable) => `TRUSONA ${token}:${await mac(secret, stringToSign(signable))}`;
    const send = (/** @type {object} */ body) => this.#transport.send('POST', '/api/v2/devices', { body, authorize });
    const registered = send(body).catch((e) => {
      // Older gateways know neither browsers nor terminals.
      const isNew = ['web', 'cli'].includes(platform);
      if (isNew && e instanceof Problem && e.status === 422) return send({ ...body, platform: 'other' });
      throw e;
    });
    return json(await registered);
  }

  /**
   * Section 3: returns whether the device is bound and active, its presence keys, and the user's devices.
   * @returns {Promise<Device>}
   */
  async status() {
    return json(await this.#transport.send('GET', `${this.#path()}/status`));
  }

  /**
   * Section 4: replaces the presence keys at the gateway. Keys that it knows and that can still sign vouch for the new ones, which then
   * count; if none can, the relying party has to approve the new ones. Idempotent. Call `useKeys` afterwards.
   * @param {import('./transport.js').KeyStore} keys with the same device key
   * @param {import('./transport.js').PresenceKey[]} former the keys they replace
   * @returns {Promise<Device>}
   */
  async replaceKeys(keys, former) {
    const known = (await this.status()).presence_keys ?? [];
    const thumbprints = await Promise.all(former.map(({ jwk }) => thumbprint(jwk)));
    const vouching = former.filter((_, i) => known.some((held) => held.thumbprint === thumbprints[i]));
    const body = {
      presence_keys: keys.presenceKeys.map(({ kind, jwk }) => ({ kind, jwk })),
      ...(await vouch({ gateway: this.#gateway, transport: this.#transport, keys, former: vouching })),
    };
    return json(await this.#transport.send('PATCH', this.#path(), { body }));
  }

  /**
   * Signs with these keys from now on.
   * @param {import('./transport.js').KeyStore} keys with the same device key
   */
  useKeys(keys) {
    this.#keys = keys;
  }

  /**
   * Section 3: changes the device's name.
   * @param {string} name
   * @returns {Promise<Device>}
   */
  async rename(name) {
    return json(await this.#transport.send('PATCH', this.#path(), { body: { name } }));
  }

  /** Section 3: freezes the user, who has lost another phone. Nobody can prompt them and no phone can answer until the backend releases them. */
  async freezeUser() {
    await this.#transport.send('POST', '/api/v2/user_freezes', { body: {} });
  }

  /**
   * Creates the code with which a phone of the same app binds this one to its user, within ten minutes. Poll `status` to see when it has.
   * @returns {Promise<string>}
   */
  async transferRequest() {
    return transferRequest({ gateway: this.#gateway, transport: this.#transport, keys: this.#keys });
  }

  /**
   * Transfers this phone's account to the phone that shows the code, or adds that phone beside it. The presence key's store has the person
   * confirm. Explain first what is about to happen, and that the other phone must be at hand.
   * @param {import('./transfer.js').TransferRequest} request
   * @param {import('./transfer.js').Act} act
   */
  async transfer(request, act) {
    await transfer({ gateway: this.#gateway, transport: this.#transport, keys: this.#keys }, request, act);
  }

  /**
   * Section 3: declares this phone's capabilities, for phones that registered without them.
   * @returns {Promise<Device>}
   */
  async declare() {
    return json(await this.#transport.send('PATCH', this.#path(), { body: { capabilities: CAPABILITIES } }));
  }

  /**
   * Section 3: returns what a browser subscribes to pushes with; null at older gateways.
   * @returns {Promise<{webpush_public_key: string | null} | null>}
   */
  async pushOptions() {
    const sent = this.#transport.send('GET', `${this.#path()}/push_options`);
    return sent.then(json, (e) => {
      if (e instanceof Problem && e.status === 404) return null;
      throw e;
    });
  }

  /**
   * Section 3: registers where the phone is woken. Idempotent; replaces an earlier registration.
   * @param {{provider: 'webpush', endpoint: string, keys?: Record<string, string>}} registration a `PushSubscription`
   */
  async registerPush(registration) {
    await this.#transport.send('PUT', `${this.#path()}/push_registration`, { body: registration });
  }

  /** Section 3: ends pushes to this phone. Idempotent. */
  async forgetPush() {
    await this.#transport.send('DELETE', `${this.#path()}/push_registration`);
  }

  /** Section 3: retires the device permanently. */
  async retire() {
    await this.#transport.send('DELETE', this.#path());
  }

  /**
   * Section 5: yields requests as they arrive, until the connection ends; then call it again after a pause. A request that fails
   * verification is yielded without its content, so that one bad challenge does not block good ones. Uses server-sent events, or long polls
   * when a stream stays silent, because some proxies buffer streams; once a poll is answered where a stream was silent, polls are used for
   * good. A refusal is thrown; its `retryAfter` says how long to pause.
   * @param {{signal?: AbortSignal, onAlive?: () => void}} [options] `onAlive` is called whenever the gateway sends anything: at least every
   *   25 seconds, or the connection is dead
   * @returns {AsyncGenerator<PhoneEvent, void>}
   */
  async *events({ signal, onAlive } = {}) {
    if (!this.#isBuffered) {
      const silence = new AbortController();
      const timer = setTimeout(() => silence.abort(), this.#patience);
      const onBytes = () => {
        clearTimeout(timer);
        onAlive?.();
      };
      try {
        yield* this.#streamed(AbortSignal.any([silence.signal, ...(signal ? [signal] : [])]), onBytes);
        return;
      } catch (e) {
        if (!silence.signal.aborted || signal?.aborted) throw e;
      } finally {
        clearTimeout(timer);
      }
    }
    yield* this.#polled(signal, onAlive);
  }

  /**
   * @param {AbortSignal} signal
   * @param {() => void} onBytes
   * @returns {AsyncGenerator<PhoneEvent, void>}
   */
  async *#streamed(signal, onBytes) {
    const headers = { accept: 'text/event-stream' };
    // Pauses between attempts would count as silence.
    const options = { headers, signal, once: true };
    const response = await this.#transport.send('GET', `${this.#path()}/trusonafications`, options);
    yield* this.#reader.streamed(serverEvents(response, onBytes));
  }

  /**
   * @param {AbortSignal} [signal]
   * @param {() => void} [onAlive]
   * @returns {AsyncGenerator<PhoneEvent, void>}
   */
  async *#polled(signal, onAlive) {
    // Requests of an earlier connection are repeated, as on a stream.
    let known = new Set();
    for (let isFirst = true; ; isFirst = false) {
      signal?.throwIfAborted();
      if (known.size) await this.#transport.sleep(POLL_INTERVAL, signal);
      // Without waiting, so that what has ended is noticed.
      const isWaiting = known.size > 0 || (isFirst && this.#reader.shown.size > 0);
      const path = `${this.#path()}/trusonafications?wait=${isWaiting ? 0 : WAIT}`;
      /** @type {{trusonafications: {id: string, challenge: string}[]}} */
      const { trusonafications } = await json(await this.#transport.send('GET', path, { signal, once: true }));
      // The gateway is reachable, and only the stream was silent.
      this.#isBuffered = true;
      onAlive?.();
      const listed = new Set();
      for (const one of trusonafications.filter(({ id }) => typeof id === 'string')) {
        const read = known.has(one.id) ? null : await this.#reader.one(one);
        if (read) yield read;
        if (read || known.has(one.id)) listed.add(one.id);
      }
      yield* this.#reader.retainOnly(listed);
      if (isFirst) yield { type: 'synced' };
      known = listed;
    }
  }

  /**
   * Section 6: answers. The signature covers the hash of the challenge's own characters, which is what the person saw. An accept that
   * requires presence is signed with a presence key, whose store has the person confirm first; everything else with the device key.
   * @param {Pending} pending
   * @param {import('../lib/challenge.js').Decision} decision
   * @param {object} [more]
   * @param {import('../lib/challenge.js').RejectReason} [more.why] of a reject
   * @param {string} [more.number] the number that the person chose or entered, if the challenge has a `match`
   * @param {string} [more.document] hash of the presented identity document
   * @returns {Promise<Answer>}
   */
  async respond(pending, decision, { why, number, document } = {}) {
    const { challenge, jws } = pending;
    const claims = {
      iss: this.deviceIdentifier,
      aud: challenge.iss,
      sub: pending.id,
      chal: await challengeHash(jws),
      dec: decision,
      why,
      num: number,
      doc: document,
      iat: Math.floor(this.now() / 1000),
      jti: this.#transport.token(),
    };
    const { deviceKey, sign, presenceKeys } = this.#keys;
    const byPresence = decision === 'accept' && needsPresence(challenge) && presenceKeys.length > 0;
    const response = byPresence
      ? await signByPresence(presenceKeys, RESPONSE_TYP, claims, `${challenge.act}: ${challenge.res}`)
      : await signJws({ alg: algorithm(deviceKey), typ: RESPONSE_TYP, kid: this.deviceIdentifier }, claims, sign);
    return json(await this.#transport.send('POST', '/api/v2/trusonafication_responses', { body: { response } }));
  }

  /**
   * Section 8: reads a secure QR code or the equivalent link: verifies its signature and fetches what to show.
   * @param {string} text
   * @returns {Promise<import('./trucode.js').Scanned>}
   */
  async scan(text) {
    const payload = payloadOf(text);
    const { reference, expiresAt } = await this.#trusted.verify((jwks) => verifyPayload(payload, jwks));
    if (expiresAt <= this.now()) throw new Untrusted('EXPIRED');
    const context = await json(await this.#transport.send('GET', `/api/v2/trucodes/${reference}/context`));
    return {
      payload,
      expiresAt,
      relyingParty: context.relying_party,
      origin: context.origin ?? null,
      place: context.place ?? null,
      matchNumber: context.match_number,
    };
  }

  /**
   * Section 8: pairs a code with this device.
   * @param {import('./trucode.js').Scanned} scanned
   * @param {string} [number] the digits from the page, if the code requires them
   */
  async pair({ payload }, number) {
    const body = { payload, identifier: this.deviceIdentifier, match_number: number };
    await this.#transport.send('POST', '/api/v2/paired_trucodes', { body });
  }

  #path() {
    return `/api/v2/devices/${this.deviceIdentifier}`;
  }
}
