/** The phone does what sdk/spec/phone.json says, case by case; the file says how it is read. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { thumbprint } from '../assets/lib/jose.js';
import { Problem } from '../assets/lib/problem.js';
import { PresenceDenied, PresenceUnavailable } from '../assets/phone/errors.js';
import { byTurn, isShown } from '../assets/phone/pending.js';
import { Phone } from '../assets/phone/protocol.js';
import { SECRET, ScriptedGateway, TOKEN, URL_OF_GATEWAY, jwksOf, readKeys } from './scripted_gateway.js';

/** @typedef {import('../assets/phone/pending.js').Pending} Pending */

/** @type {any} */
const spec = JSON.parse(readFileSync(new URL('../../sdk/spec/phone.json', import.meta.url), 'utf8'));
const keys = await readKeys(spec.keys);
const DEVICE = await thumbprint(keys.device.jwk);

/** An app that does what a case says. */
class App {
  /** @type {Map<string, Pending>} */
  open = new Map();
  /** @type {any[]} */
  log = [];
  /** What time it is, in milliseconds. */
  now = spec.now * 1000;

  /** @param {any} test */
  constructor(test) {
    this.test = test;
  }

  /** @returns {Promise<import('../assets/phone/transport.js').KeyStore>} */
  async keyStore() {
    const { presence } = this.test;
    const kinds = presence && !Object.keys(presence).length ? [] : /** @type {const} */ (['biometric', 'credential']);
    return {
      deviceKey: keys.device.jwk,
      sign: keys.device.sign,
      presenceKeys: kinds.map((kind) => ({
        kind,
        jwk: keys[kind].jwk,
        sign: async (message, reason) => {
          this.log.push({ confirms: kind, reason });
          const outcome = presence?.[kind] ?? 'confirms';
          if (outcome === 'denies') throw new PresenceDenied();
          if (outcome === 'unavailable') throw new PresenceUnavailable();
          return keys[kind].sign(message);
        },
      })),
    };
  }

  async run() {
    const gateway = new ScriptedGateway(this.test, keys, this);
    const pinned = this.test.pinned && (await jwksOf(keys, this.test.pinned));
    const clock = { now: () => this.now, sleep: async (/** @type {number} */ pause) => void this.log.push({ pause }) };
    this.phone = await Phone.open({
      gateway: URL_OF_GATEWAY,
      keys: await this.keyStore(),
      jwks: pinned,
      isPinned: Boolean(pinned),
      clock,
      fetch: gateway.fetch,
    });
    for (const action of this.test.do) await this.act(action);
    gateway.assertDone();
    return this.log;
  }

  /** @param {any} action */
  async act(action) {
    if (action.advance) {
      this.now += 1000 * action.advance;
      this.log.push({ advanced: action.advance });
      return;
    }
    try {
      if (action === 'listen') await this.listen();
      else await this.register();
    } catch (e) {
      this.log.push(failure(e));
    }
  }

  async register() {
    const { platform, version } = this.test.app ?? {};
    const device = await this.phone?.register(
      { token: TOKEN, secret: SECRET },
      { name: 'Test', platform, appVersion: version },
    );
    this.log.push({ registered: device?.device_identifier });
  }

  async listen() {
    for await (const event of this.phone?.events() ?? []) {
      if (event.type === 'prompt') {
        this.open.set(event.pending.id, event.pending);
        await this.answer(event.pending);
      } else if (event.type === 'closed') {
        this.open.delete(event.id);
        this.log.push({ closed: event.id });
      } else if (event.type === 'untrusted') {
        this.log.push({ untrusted: { id: event.id, reason: event.error.reason } });
      } else {
        this.log.push({ synced: [...this.open.values()].toSorted(byTurn).map(({ id }) => id) });
      }
    }
    this.log.push({ ended: true });
  }

  /**
   * Shows what is to be shown, and answers as the person decides.
   * @param {Pending} pending
   */
  async answer(pending) {
    const { person = {} } = this.test;
    let decision = { decide: 'accept' };
    if (isShown(pending.challenge)) {
      this.log.push({ shows: shown(pending) });
      decision = person[pending.id] ?? person['*'] ?? decision;
    }
    const { decide, ...more } = /** @type {any} */ (decision);
    if (decide === 'nothing') return;
    try {
      const answer = await this.phone?.respond(pending, decide, more);
      this.log.push({ answered: answer?.status });
      this.open.delete(pending.id);
    } catch (e) {
      this.log.push(failure(e));
    }
  }
}

/** @param {Pending} pending */
function shown({ id, challenge, fields }) {
  const { rp, act, res, lvl, match, from } = challenge;
  return {
    id,
    relying_party: rp.name,
    action: act,
    resource: res,
    level: lvl,
    fields: challenge.fields && fields,
    number: match && (match.mode === 'enter' ? { enter: match.digits ?? 2 } : { choose: match.choices }),
    from,
  };
}

/** @param {unknown} e */
function failure(e) {
  if (e instanceof Problem) return { failed: { error: e.error, retry_after: e.retryAfter } };
  if (e instanceof PresenceDenied) return { failed: { error: 'PRESENCE_DENIED' } };
  if (e instanceof PresenceUnavailable) return { failed: { error: 'PRESENCE_UNAVAILABLE' } };
  throw e;
}

/**
 * Whether what happened is what is expected, which may say less of it.
 * @param {any} expected
 * @param {any} happened
 * @returns {boolean}
 */
function holds(expected, happened) {
  if (expected === null) return happened === undefined || happened === null;
  if (typeof expected !== 'object') return expected === happened;
  if (typeof happened === 'number') return happened >= expected.least && happened <= expected.most;
  if (Array.isArray(expected))
    return (
      Array.isArray(happened) && expected.length === happened.length && expected.every((e, i) => holds(e, happened[i]))
    );
  if (typeof happened !== 'object' || happened === null) return false;
  return Object.keys(expected).every((name) => holds(expected[name], happened[name]));
}

for (const one of spec.cases) {
  test(`spec: ${one.name}`, async () => {
    const happened = await new App(one).run();
    const expected = JSON.parse(JSON.stringify(one.log).replaceAll('{device}', DEVICE));
    const isSame = expected.length === happened.length && holds(expected, happened);
    // So that a failure says which.
    if (!isSame) assert.deepEqual(happened, expected);
  });
}
