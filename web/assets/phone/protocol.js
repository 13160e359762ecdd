/**
 * The phone's half of the mobile protocol (docs/protocol/mobile.md), for whoever writes an app: what to send, what to check, and
 * what never to do. The sections named here are that document's.
 *
 * The platform brings a key store, a clock, `fetch` and randomness; everything else is here and touches neither a page nor a
 * storage. Left out, because a browser has no use for them: pushes, identity documents' registration.
 *
 *     const phone = await Phone.open({ gateway: 'https://auth.example', keys });
 *     const device = await phone.register({ token, secret }, { name: "Ada's phone" });
 *     // The app's backend is given device.device_identifier_jwt, and binds the device to its user. Then:
 *     for await (const event of phone.events()) {
 *       // Show what `isShown` says is to be shown, and let the person decide.
 *       if (event.type === 'asked') await phone.respond(event.pending, 'accept');
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
 * @property {string} gateway the gateway's public URL, without a slash at the end: proofs are for it, challenges are by it
 * @property {string} [origin] where it is reached, when that is elsewhere
 * @property {import('./transport.js').KeyStore} keys
 * @property {Jwks} [jwks] the deployment's keys, as far as they are known; fetched when absent, or when a challenge names one that is new
 * @property {boolean} [isPinned] whether no keys are taken but `jwks`, which come with the app
 * @property {(jwks: Jwks) => void} [onJwks] told what was fetched, to pin it
 * @property {import('./transport.js').Clock} [clock]
 * @property {typeof globalThis.fetch} [fetch]
 * @property {import('./transport.js').Random} [random]
 * @property {number} [patience] milliseconds after which a stream that brought nothing is taken to be held back on its way
 */
/**
 * @typedef {object} Device
 * @property {string} device_identifier
 * @property {string} device_identifier_jwt the same, signed by the deployment: for the app's backend
 * @property {boolean} is_active true while an active binding exists
 * @property {string[]} [capabilities] what the gateway knows that this phone can do; absent at gateways of before
 * @property {boolean} [certified] true while the device vouches for its presence keys; absent at gateways of before
 * @property {HeldKey[]} [presence_keys] those that the gateway knows of the device; absent at gateways of before
 * @property {UserDevice[]} [user_devices] the user's active devices, this one included, in the order they were activated; of
 *   `status` alone, and absent at gateways of before
 */
/**
 * A presence key as the gateway knows it. One that does not count proves the phone alone: level 1.
 * @typedef {{kind: 'biometric' | 'credential', thumbprint: string, counts: boolean, since: string | null}} HeldKey
 */
/** @typedef {{activated_at: string, is_this: boolean}} UserDevice */
/** @typedef {import('./pending.js').Pending} Pending */
/** @typedef {import('./pending.js').PhoneEvent} PhoneEvent */
/** @typedef {{id: string, status: 'ACCEPTED' | 'ACCEPTED_AT_LOWER_LEVEL' | 'ACCEPTED_AT_HIGHER_LEVEL' | 'REJECTED', accepted_level: number, held_until?: string}} Answer */

/** What this phone can do beyond what all can: it takes numbers of as many digits as the challenge says. */
const CAPABILITIES = ['match6'];
/** The gateway says something at once when a stream begins. */
const PATIENCE = 10_000;
/** How long a call waits for something to answer, in seconds. */
const WAIT = 25;
/** How long until it is asked again while something waits for the person, in milliseconds: then calls do not wait. */
const BETWEEN = 2_000;

/** One device key at one gateway. */
export class Phone {
  #gateway;
  #keys;
  #trusted;
  #reader;
  #transport;
  #patience;
  /** Whether something between here and the gateway holds streams back. */
  #isHeldBack = false;

  /**
   * Makes a phone; nothing is sent yet.
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

  /** Milliseconds, by the gateway's clock where the device's was found to be off. */
  now() {
    return this.#transport.now();
  }

  /**
   * Section 4: registers the device, or brings the gateway up to date about its keys. The device key and each presence key sign
   * which keys these are, so their stores ask the person once for each presence key.
   * @param {{token: string, secret: string}} credential the app's mobile credential; nothing else needs it
   * @param {{name: string, platform?: 'ios' | 'android' | 'web' | 'cli' | 'other', appVersion?: string}} about what the phone is called, what
   *   it runs on, and the app's version, its name before it where there are several
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
      // A gateway of before knows neither browsers nor terminals.
      const isNew = ['web', 'cli'].includes(platform);
      if (isNew && e instanceof Problem && e.status === 422) return send({ ...body, platform: 'other' });
      throw e;
    });
    return json(await registered);
  }

  /**
   * Section 3: whether the device is bound and active, with its presence keys and whether they count, and the user's devices.
   * @returns {Promise<Device>}
   */
  async status() {
    return json(await this.#transport.send('GET', `${this.#path()}/status`));
  }

  /**
   * Section 4: tells the gateway of other presence keys. Those that it knows and that still sign vouch for the new ones, which count then;
   * where none is left, the relying party has to approve the new ones. Repeating it is fine. Then `useKeys`.
   * @param {import('./transport.js').KeyStore} keys with the same device key
   * @param {import('./transport.js').PresenceKey[]} former what they replace
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
   * Signs by these keys from now on.
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

  /** Section 3: freezes the user, who has lost another phone: nobody can prompt them, and no phone answers, until the backend releases them. */
  async freezeUser() {
    await this.#transport.send('POST', '/api/v2/user_freezes', { body: {} });
  }

  /**
   * Makes the code by which a phone of the same app binds this one to its user, within ten minutes. `status` tells when it has.
   * @returns {Promise<string>}
   */
  async transferRequest() {
    return transferRequest({ gateway: this.#gateway, transport: this.#transport, keys: this.#keys });
  }

  /**
   * Hands this phone's place to the phone that shows a code, or lets it in beside this one; the presence key's store asks the
   * person. Say before what is about to happen, and that it is right only with the other phone at hand.
   * @param {import('./transfer.js').TransferRequest} request
   * @param {import('./transfer.js').Act} act
   */
  async transfer(request, act) {
    await transfer({ gateway: this.#gateway, transport: this.#transport, keys: this.#keys }, request, act);
  }

  /**
   * Section 3: says what this phone can do, for one that registered before it could.
   * @returns {Promise<Device>}
   */
  async declare() {
    return json(await this.#transport.send('PATCH', this.#path(), { body: { capabilities: CAPABILITIES } }));
  }

  /** Section 3: retires the device, for good. */
  async retire() {
    await this.#transport.send('DELETE', this.#path());
  }

  /**
   * Section 5: what there is to answer, as it comes, until the connection ends; then call it again, after a pause. What
   * cannot be trusted comes without its content, so that one bad challenge keeps no good one away. It comes by server-sent
   * events, or by long polls when a stream brought nothing, as some proxies hold streams back; once a poll is answered where
   * a stream was silent, always by polls. A refusal is thrown; its `retryAfter` says how long the pause has to be.
   * @param {{signal?: AbortSignal, onAlive?: () => void}} [options] `onAlive` is called whenever the gateway says anything:
   *   every 25 seconds at least, or the connection is dead
   * @returns {AsyncGenerator<PhoneEvent, void>}
   */
  async *events({ signal, onAlive } = {}) {
    if (!this.#isHeldBack) {
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
    // Pauses between attempts would count as silence of the stream.
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
    // What came by an earlier connection comes again, as it does on a stream.
    let known = new Set();
    for (let isFirst = true; ; isFirst = false) {
      signal?.throwIfAborted();
      if (known.size) await this.#transport.sleep(BETWEEN, signal);
      // What ended meanwhile is known at once.
      const isWaiting = known.size > 0 || (isFirst && this.#reader.shown.size > 0);
      const path = `${this.#path()}/trusonafications?wait=${isWaiting ? 0 : WAIT}`;
      /** @type {{trusonafications: {id: string, challenge: string}[]}} */
      const { trusonafications } = await json(await this.#transport.send('GET', path, { signal, once: true }));
      // The gateway is there, and only the stream was silent.
      this.#isHeldBack = true;
      onAlive?.();
      const listed = new Set();
      for (const one of trusonafications.filter(({ id }) => typeof id === 'string')) {
        const read = known.has(one.id) ? null : await this.#reader.one(one);
        if (read) yield read;
        if (read || known.has(one.id)) listed.add(one.id);
      }
      yield* this.#reader.whole(listed);
      if (isFirst) yield { type: 'synced' };
      known = listed;
    }
  }

  /**
   * Section 6: answers. What is signed is the hash of the challenge's own characters: what was seen. An accept that needs
   * presence is signed by a presence key, whose store asks the person first; everything else by the device key.
   * @param {Pending} pending
   * @param {import('../lib/challenge.js').Decision} decision
   * @param {object} [more]
   * @param {import('../lib/challenge.js').RejectReason} [more.why] of a reject
   * @param {string} [more.number] the one the person chose or entered, when the challenge has a `match`
   * @param {string} [more.document] hash of the identity document that is presented
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
   * Section 8: reads a secure QR code, or the link that stands for it: verifies its signature and asks what to show.
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
   * @param {string} [number] what the person read off the page, when the code wants it
   */
  async pair({ payload }, number) {
    const body = { payload, identifier: this.deviceIdentifier, match_number: number };
    await this.#transport.send('POST', '/api/v2/paired_trucodes', { body });
  }

  #path() {
    return `/api/v2/devices/${this.deviceIdentifier}`;
  }
}
