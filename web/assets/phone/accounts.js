/** The accounts of this phone while the page is open. Each waits for requests. */

import { Problem } from '../lib/problem.js';
import { ConnectionSlots } from './connection_slots.js';
import { enrol, finish, prepare } from './enrolment.js';
import { latestUnknown } from './joined.js';
import { addAnswer, listAnswers } from './history.js';
import { keyStore } from './keys.js';
import { refresh, turnOff, turnOn, unsubscribe } from './notifications.js';
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
 * @property {Map<string, Pending>} pending open requests by id
 * @property {Pending} [answering] the request being answered
 * @property {number} untrusted how many requests failed verification
 * @property {number} [joined] when a phone was activated that the person has not confirmed, in milliseconds
 * @property {number} checkedAt when the user's phones were last checked, in milliseconds
 * @property {AbortController} closing
 */
/** @typedef {{entry: Entry, pending: Pending}} Prompt */
/** @typedef {import('./history.js').Answered} Answered */

/** How often the user's phones are checked at most, in milliseconds: accounts that take turns reconnect every few seconds. */
const CHECK_INTERVAL = 60_000;

/**
 * Dispatches `change` when anything changed, and also `stored` when stored accounts did, or `answered` when an answer was stored. Listeners
 * read the current state again.
 */
export class Accounts extends EventTarget {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  #slots = new ConnectionSlots();
  #confirm;

  /** @param {(entry: Entry, reason: string) => Promise<void>} confirm has the person confirm before a presence key signs */
  constructor(confirm) {
    super();
    this.#confirm = confirm;
    /**
     * What this phone answered, the newest first.
     * @type {Answered[]}
     */
    this.answered = [];
  }

  /** Every account, the oldest first. */
  get all() {
    return [...this.#entries.values()];
  }

  /** Open requests: first those that the person started themselves, then the oldest. */
  get prompts() {
    const all = this.all.flatMap((entry) => [...entry.pending.values()].map((pending) => ({ entry, pending })));
    const open = all.filter(({ entry, pending }) => pending.challenge.exp * 1000 > entry.phone.now());
    return open.toSorted((a, b) => byTurn(a.pending, b.pending));
  }

  /** Opens stored accounts and closes removed ones: other pages of this phone change them, too. */
  async load() {
    const stored = await listAccounts();
    for (const [id, entry] of this.#entries) {
      if (!stored.some((account) => account.id === id)) this.#close(entry);
    }
    for (const account of stored) await this.#open(account);
    await this.loadAnswers();
  }

  /** Reads the answers again: other pages of this phone add to them. */
  async loadAnswers() {
    this.answered = await listAnswers();
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
   * Registers this phone without a user. The user's current phone then transfers the account to it.
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
   * Reconnects a device that has become active.
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
   * Changes this phone's name at the relying party.
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
   * Sets what guards the presence key: a passkey with the platform's user verification, or only a button.
   * @param {Entry} entry
   * @param {ArrayBuffer} [passkey]
   */
  async guard({ account }, passkey) {
    account.passkey = passkey;
    await putAccount(account);
    this.#stored();
  }

  /**
   * Turns notifications on. Call it from a click: the browser asks for permission.
   * @param {Entry} entry
   */
  async turnOnNotifications({ account, phone }) {
    const state = await turnOn(account, phone);
    this.#stored();
    return state;
  }

  /**
   * Turns notifications off.
   * @param {Entry} entry
   */
  async turnOffNotifications({ account, phone }) {
    await turnOff(account, phone);
    this.#stored();
  }

  /**
   * Freezes the user. This phone receives no more requests either, and learns of it like any other.
   * @param {Entry} entry
   */
  async freeze({ phone }) {
    await phone.freezeUser();
  }

  /**
   * Records that the person recognizes the phone that joined.
   * @param {Entry} entry
   */
  async know(entry) {
    entry.account.phonesKnownUntil = entry.joined;
    entry.joined = undefined;
    await putAccount(entry.account);
    this.#stored();
  }

  /**
   * Replaces the presence key. The old one vouches for the new one, which the person confirms.
   * @param {Entry} entry
   */
  async renewKey(entry) {
    await renew(entry.account, entry.phone, (reason) => this.#confirm(entry, reason));
    this.#stored();
  }

  /**
   * Retires the device and deletes its keys.
   * @param {Entry} entry
   */
  async remove(entry) {
    if (entry.state !== 'gone') await entry.phone.retire();
    await this.forget(entry);
  }

  /**
   * Deletes the keys of a device that is already retired.
   * @param {Entry} entry
   */
  async forget(entry) {
    await deleteAccount(entry.account.id);
    this.answered = this.answered.filter(({ account }) => account !== entry.account.id);
    this.#close(entry);
    await unsubscribe(entry.account.id).catch(() => {});
    this.#stored();
  }

  /**
   * Answers a request. It stays open if the answer did not arrive.
   * @param {Prompt} prompt
   * @param {import('../lib/challenge.js').Decision} decision
   * @param {{why?: import('../lib/challenge.js').RejectReason, number?: string}} [more]
   */
  async respond({ entry, pending }, decision, more) {
    entry.answering = pending;
    try {
      const answer = await entry.phone.respond(pending, decision, more);
      entry.pending.delete(pending.id);
      await this.#record(entry, pending, { decision, why: more?.why, status: answer.status });
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
   * A request that needs neither display nor presence is accepted silently and appears only in the history.
   * @param {Entry} entry
   * @param {Pending} pending
   */
  #received(entry, pending) {
    if (isShown(pending.challenge) || needsPresence(pending.challenge))
      return void entry.pending.set(pending.id, pending);
    // If the answer does not arrive, the request comes again with the next connection.
    void this.#accept(entry, pending).catch(() => {});
  }

  /**
   * @param {Entry} entry
   * @param {Pending} pending
   */
  async #accept(entry, pending) {
    const answer = await entry.phone.respond(pending, 'accept');
    await this.#record(entry, pending, { decision: 'accept', status: answer.status });
  }

  /**
   * Keeps what was answered, unless the account was removed meanwhile. A browser that is out of space loses the entry, not the answer.
   * @param {Entry} entry
   * @param {Pending} pending
   * @param {Pick<Answered, 'decision' | 'why' | 'status'>} answer
   */
  async #record({ account, phone }, { challenge }, answer) {
    const { id, user } = account;
    if (!this.#entries.has(id)) return;
    const { rp, act: action, res: resource } = challenge;
    const answered = { account: id, at: phone.now(), relyingParty: rp.name, user, action, resource, ...answer };
    try {
      await addAnswer(answered);
      // Read back, since another read may already have found it.
      this.answered = await listAnswers();
    } catch (cause) {
      reportError(cause);
      this.answered = [answered, ...this.answered];
    }
    this.#changed();
    this.dispatchEvent(new Event('answered'));
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
      checkedAt: -Infinity,
      closing: new AbortController(),
    };
    // A concurrent call may have opened it.
    if (this.#entries.has(account.id)) return;
    this.#entries.set(account.id, entry);
    if (!account.isDeclared) void this.#declare(entry);
    // If the gateway cannot be reached, the next page that opens retries.
    void refresh(account, phone).then(
      (changed) => changed && this.#stored(),
      () => {},
    );
    void settle(account, phone, (reason) => this.#confirm(entry, reason)).catch(() => {});
    void keepWaiting(phone, this.#slots, entry.closing.signal, this.#listener(entry));
  }

  /**
   * Declares this phone's capabilities, which it did not have when it registered. A failure is retried when the page opens next.
   * @param {Entry} entry
   */
  async #declare({ account, phone }) {
    try {
      const { capabilities } = await phone.declare();
      // Older gateways do not return them.
      if (!capabilities?.length) return;
    } catch (e) {
      if (e instanceof Problem) return;
      throw e;
    }
    account.isDeclared = true;
    await putAccount(account);
  }

  /**
   * Checks whether the user has a new phone. A failure is retried with the next connection.
   * @param {Entry} entry
   */
  async #checkUserDevices(entry) {
    if (performance.now() - entry.checkedAt < CHECK_INTERVAL) return;
    entry.checkedAt = performance.now();
    try {
      const { user_devices: devices } = await entry.phone.status();
      entry.joined = latestUnknown(devices ?? [], entry.account.phonesKnownUntil);
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      entry.checkedAt = -Infinity;
      return;
    }
    this.#changed();
  }

  /**
   * Applies what another page of this phone changed.
   * @param {Entry} entry
   * @param {Account} stored
   */
  async #update(entry, stored) {
    Object.assign(entry.account, { nextKey: undefined, pushEndpoint: undefined, ...stored });
    if (entry.joined && entry.joined <= (stored.phonesKnownUntil ?? 0)) entry.joined = undefined;
    entry.phone.useKeys(await keyStore(stored.deviceKey, stored.presenceKey, (reason) => this.#confirm(entry, reason)));
  }

  /**
   * Returns the account once its backend knows it; null if it never will.
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
    if (!entry) throw new Error('the account has been removed');
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
    const transition = (state) => {
      entry.state = state;
      this.#changed();
    };
    return {
      onConnected: () => {
        transition('waiting');
        void this.#checkUserDevices(entry);
      },
      onEvent: (event) => {
        if (event.type === 'prompt') this.#received(entry, event.pending);
        if (event.type === 'closed') entry.pending.delete(event.id);
        if (event.type === 'untrusted') entry.untrusted += 1;
        this.#changed();
      },
      onLost: () => transition('offline'),
      onRefused: () => transition('inactive'),
      onFrozen: () => {
        entry.pending.clear();
        transition('frozen');
      },
      onGone: () => {
        entry.pending.clear();
        transition('gone');
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
