/** The accounts of this phone while the page is open: each waits for what it is asked. */

import { Problem } from '../lib/problem.js';
import { enrol, finish, prepare } from './enrolment.js';
import { latestUnknown } from './joined.js';
import { keyStore } from './keys.js';
import { Lanes } from './lanes.js';
import { byTurn, isShown, needsPresence } from './pending.js';
import { Phone } from './protocol.js';
import { renew, settle } from './renewal.js';
import { deleteAccount, listAccounts, putAccount } from './store.js';
import { keepWaiting } from './waiting.js';

/** @typedef {import('./store.js').Account} Account */
/** @typedef {import('./protocol.js').Pending} Pending */
/**
 * @typedef {object} Entry
 * @property {Account} account
 * @property {Phone} phone
 * @property {'connecting' | 'waiting' | 'offline' | 'inactive' | 'frozen' | 'gone'} state
 * @property {Map<string, Pending>} pending what is asked, as it came
 * @property {Pending} [answering] what is being answered
 * @property {number} untrusted how much came that could not be trusted
 * @property {number} [joined] when a phone of the user was activated that the person does not know of, in milliseconds
 * @property {number} lookedAt when the user's phones were last looked at, in milliseconds
 * @property {AbortController} closing
 */
/** @typedef {{entry: Entry, pending: Pending}} Question */
/**
 * @typedef {object} Answered
 * @property {Account} account
 * @property {Pending} pending
 * @property {import('../lib/challenge.js').Decision} decision
 * @property {import('./protocol.js').Answer} answer
 * @property {Date} at
 */

/** How long the user's phones are not looked at again, in milliseconds: accounts that take turns connect every few seconds. */
const LOOKED = 60_000;

/** Changes are told by `change` events, those of what is stored by `stored` events besides; read again what there is. */
export class Accounts extends EventTarget {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  #lanes = new Lanes();
  #confirm;

  /** @param {(entry: Entry, reason: string) => Promise<void>} confirm asks the person before a presence key signs */
  constructor(confirm) {
    super();
    this.#confirm = confirm;
    /**
     * What was answered since the page was opened, the newest first.
     * @type {Answered[]}
     */
    this.answered = [];
  }

  /** Every account, the oldest first. */
  get all() {
    return [...this.#entries.values()];
  }

  /** What is asked: first what the person began themselves, then the oldest. */
  get questions() {
    const all = this.all.flatMap((entry) => [...entry.pending.values()].map((pending) => ({ entry, pending })));
    const open = all.filter(({ entry, pending }) => pending.challenge.exp * 1000 > entry.phone.now());
    return open.toSorted((a, b) => byTurn(a.pending, b.pending));
  }

  /** Opens what is stored, and closes what is no more: other pages of this phone change it, too. */
  async load() {
    const stored = await listAccounts();
    for (const [id, entry] of this.#entries) {
      if (!stored.some((account) => account.id === id)) this.#close(entry);
    }
    for (const account of stored) await this.#open(account);
    this.#changed();
  }

  /**
   * Adds an account by a ticket.
   * @param {import('./enrolment.js').Ticket} ticket
   * @param {ArrayBuffer} [passkey]
   */
  async add(ticket, passkey) {
    const account = await enrol(ticket, passkey);
    await this.#open(account);
    this.#stored();
    return account;
  }

  /**
   * Makes this phone known to an app, without a user: the phone they have is to hand its place on.
   * @param {import('./enrolment.js').AppConfig} config
   * @param {string} user what the account is called here
   * @param {ArrayBuffer} [passkey]
   * @returns {Promise<Entry>}
   */
  async prepare(config, user, passkey) {
    const account = await prepare(config, user, passkey);
    await this.#open(account);
    this.#stored();
    return this.#entry(account.id);
  }

  /**
   * Waits anew with a device that was found to be active.
   * @param {Entry} entry
   * @returns {Promise<Entry>}
   */
  async activated(entry) {
    this.#close(entry);
    await this.#open(entry.account);
    this.#changed();
    return this.#entry(entry.account.id);
  }

  /**
   * Changes what the relying party calls this phone.
   * @param {Entry} entry
   * @param {string} name
   */
  async rename({ account, phone }, name) {
    await phone.rename(name);
    account.name = name;
    await putAccount(account);
    this.#stored();
  }

  /**
   * Sets what guards the presence key: a passkey of the platform's user verification, or nothing but a button.
   * @param {Entry} entry
   * @param {ArrayBuffer} [passkey]
   */
  async guard({ account }, passkey) {
    account.passkey = passkey;
    await putAccount(account);
    this.#stored();
  }

  /**
   * Freezes the user: this phone, too, is asked nothing any more, which it learns as any other.
   * @param {Entry} entry
   */
  async freeze({ phone }) {
    await phone.freezeUser();
  }

  /**
   * Remembers that the person knows of the phone that joined.
   * @param {Entry} entry
   */
  async know(entry) {
    entry.account.phonesKnownUntil = entry.joined;
    entry.joined = undefined;
    await putAccount(entry.account);
    this.#stored();
  }

  /**
   * Replaces the presence key. The old one vouches for the new one, for which the person is asked.
   * @param {Entry} entry
   */
  async renewKey(entry) {
    await renew(entry.account, entry.phone, (reason) => this.#confirm(entry, reason));
    this.#stored();
  }

  /**
   * Retires the device and forgets its keys.
   * @param {Entry} entry
   */
  async remove(entry) {
    if (entry.state !== 'gone') await entry.phone.retire();
    await this.forget(entry);
  }

  /**
   * Forgets the keys of a device that is retired already.
   * @param {Entry} entry
   */
  async forget(entry) {
    await deleteAccount(entry.account.id);
    this.#close(entry);
    this.#stored();
  }

  /**
   * Answers a question. It is no question any more, unless the answer did not arrive.
   * @param {Question} question
   * @param {import('../lib/challenge.js').Decision} decision
   * @param {{why?: import('../lib/challenge.js').RejectReason, number?: string}} [more]
   */
  async respond({ entry, pending }, decision, more) {
    entry.answering = pending;
    try {
      const answer = await entry.phone.respond(pending, decision, more);
      this.answered.unshift({ account: entry.account, pending, decision, answer, at: new Date() });
      entry.pending.delete(pending.id);
      return answer;
    } catch (e) {
      if (e instanceof Problem && !e.isPassing) entry.pending.delete(pending.id);
      throw e;
    } finally {
      entry.answering = undefined;
      this.#changed();
    }
  }

  /**
   * What is not to be shown, and needs no presence, is accepted, and comes up nowhere but among what was answered.
   * @param {Entry} entry
   * @param {Pending} pending
   */
  #asked(entry, pending) {
    if (isShown(pending.challenge) || needsPresence(pending.challenge))
      return void entry.pending.set(pending.id, pending);
    // One that does not arrive comes again with the next connection.
    void this.#accept(entry, pending).catch(() => {});
  }

  /**
   * @param {Entry} entry
   * @param {Pending} pending
   */
  async #accept(entry, pending) {
    const answer = await entry.phone.respond(pending, 'accept');
    this.answered.unshift({ account: entry.account, pending, decision: 'accept', answer, at: new Date() });
    this.#changed();
  }

  /** @param {Account} stored */
  async #open(stored) {
    const known = this.#entries.get(stored.id);
    if (known) return this.#update(known, stored);
    const account = await this.#finished(stored);
    if (!account) return;
    const keys = await keyStore(account.deviceKey, account.presenceKey, (reason) => this.#confirm(entry, reason));
    const onJwks = (/** @type {import('../lib/jose.js').Jwks} */ jwks) =>
      void putAccount(Object.assign(account, { jwks }));
    const { gateway, jwks } = account;
    const phone = await Phone.open({ gateway, origin: location.origin, keys, jwks, onJwks });
    /** @type {Entry} */
    const entry = {
      account,
      phone,
      state: 'connecting',
      pending: new Map(),
      untrusted: 0,
      lookedAt: -Infinity,
      closing: new AbortController(),
    };
    // Another call may have opened it meanwhile.
    if (this.#entries.has(account.id)) return;
    this.#entries.set(account.id, entry);
    if (!account.isDeclared) void this.#declare(entry);
    // Where the gateway cannot be asked, the next page that is opened asks it.
    void settle(account, phone, (reason) => this.#confirm(entry, reason)).catch(() => {});
    void keepWaiting(phone, this.#lanes, entry.closing.signal, this.#listener(entry));
  }

  /**
   * Has the gateway know what this phone can do: it registered before it could. What fails is done when the page is opened next.
   * @param {Entry} entry
   */
  async #declare({ account, phone }) {
    try {
      const { capabilities } = await phone.declare();
      // A gateway of before does not say.
      if (!capabilities?.length) return;
    } catch (e) {
      if (e instanceof Problem) return;
      throw e;
    }
    account.isDeclared = true;
    await putAccount(account);
  }

  /**
   * Looks whether another phone joined the user's. What fails is done with the next connection.
   * @param {Entry} entry
   */
  async #look(entry) {
    if (performance.now() - entry.lookedAt < LOOKED) return;
    entry.lookedAt = performance.now();
    try {
      const { user_devices: devices } = await entry.phone.status();
      entry.joined = latestUnknown(devices ?? [], entry.account.phonesKnownUntil);
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      entry.lookedAt = -Infinity;
      return;
    }
    this.#changed();
  }

  /**
   * Takes in what another page of this phone changed.
   * @param {Entry} entry
   * @param {Account} stored
   */
  async #update(entry, stored) {
    Object.assign(entry.account, { nextKey: undefined, ...stored });
    if (entry.joined && entry.joined <= (stored.phonesKnownUntil ?? 0)) entry.joined = undefined;
    entry.phone.useKeys(await keyStore(stored.deviceKey, stored.presenceKey, (reason) => this.#confirm(entry, reason)));
  }

  /**
   * The account once its backend knows it; nothing when it never will.
   * @param {Account} account
   */
  async #finished(account) {
    try {
      return await finish(account);
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      if (!e.isPassing) await deleteAccount(account.id);
      return null;
    }
  }

  /**
   * @param {string} id
   * @returns {Entry}
   */
  #entry(id) {
    const entry = this.#entries.get(id);
    if (!entry) throw new Error('the account was removed meanwhile');
    return entry;
  }

  /** @param {Entry} entry */
  #close(entry) {
    entry.closing.abort();
    this.#entries.delete(entry.account.id);
  }

  /**
   * @param {Entry} entry
   * @returns {import('./waiting.js').Listener}
   */
  #listener(entry) {
    /** @param {Entry['state']} state */
    const become = (state) => {
      entry.state = state;
      this.#changed();
    };
    return {
      onConnected: () => {
        become('waiting');
        void this.#look(entry);
      },
      onEvent: (event) => {
        if (event.type === 'asked') this.#asked(entry, event.pending);
        if (event.type === 'closed') entry.pending.delete(event.id);
        if (event.type === 'untrusted') entry.untrusted += 1;
        this.#changed();
      },
      onLost: () => become('offline'),
      onRefused: () => become('inactive'),
      onFrozen: () => {
        entry.pending.clear();
        become('frozen');
      },
      onGone: () => {
        entry.pending.clear();
        become('gone');
      },
    };
  }

  #stored() {
    this.#changed();
    this.dispatchEvent(new Event('stored'));
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
