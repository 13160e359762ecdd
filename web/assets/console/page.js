/** What a view works with. */
import { follow, rpc, rpcStream } from './api.js';
import { address } from './router.js';

/** @typedef {import('./api.js').Session} Session */
/** @typedef {import('./router.js').Query} Query */

/** One visit to one view: where it shows, what it was asked for, whom it acts for. */
export class Page {
  /**
   * @param {object} visit
   * @param {HTMLElement} visit.main where the view shows
   * @param {string} visit.view
   * @param {Session} visit.session
   * @param {string} visit.relyingParty id of the chosen one; empty when there is none
   * @param {AbortSignal} visit.signal aborted when the view is left
   */
  constructor({ main, view, session, relyingParty, signal }) {
    this.main = main;
    this.view = view;
    this.session = session;
    this.relyingParty = relyingParty;
    this.signal = signal;
    this.query = new URLSearchParams(location.search);
  }

  /** Whether the operator may change things, rather than only look. */
  get mayAct() {
    return this.session.operator.role !== 'auditor';
  }

  /** Whether the operator may say who the operators are, and what holds for the whole deployment. */
  get mayOwn() {
    return this.session.operator.role === 'owner';
  }

  /**
   * Returns a value of the address, or undefined.
   * @param {string} name
   */
  value(name) {
    return this.query.get(name) ?? undefined;
  }

  /**
   * Reads; ends when the view is left.
   * @param {string} method
   * @param {object} [message]
   * @returns {Promise<any>}
   */
  read(method, message = {}) {
    return rpc(method, message, { relyingParty: this.relyingParty, signal: this.signal });
  }

  /**
   * Changes something; goes on when the view is left.
   * @param {string} method
   * @param {object} message
   * @returns {Promise<any>}
   */
  act(method, message) {
    return rpc(method, message, { relyingParty: this.relyingParty });
  }

  /**
   * Reads from one of the services that all have the method; ends when the view is left.
   * @param {string} service
   * @param {string} method
   * @param {object} message
   * @returns {Promise<any>}
   */
  readAt(service, method, message) {
    return rpc(method, message, { service, signal: this.signal });
  }

  /**
   * Changes something at one of the services that all have the method; goes on when the view is left.
   * @param {string} service
   * @param {string} method
   * @param {object} message
   * @returns {Promise<any>}
   */
  actAt(service, method, message) {
    return rpc(method, message, { service });
  }

  /**
   * Changes something by a stream of messages; goes on when the view is left.
   * @param {string} method
   * @param {object[]} messages
   * @param {string} sha256 the digest of all messages
   * @returns {Promise<any>}
   */
  actByStream(method, messages, sha256) {
    return rpcStream(method, messages, sha256, { relyingParty: this.relyingParty });
  }

  /**
   * Follows a stream until the view is left or `signal` says so.
   * @param {string} method
   * @param {object} message
   * @param {{ signal?: AbortSignal, onConnection?: (connected: boolean) => void }} [options]
   */
  follow(method, message, { signal = this.signal, onConnection } = {}) {
    return follow(method, message, { relyingParty: this.relyingParty, signal, onConnection });
  }

  /**
   * Writes the address of a view of the chosen relying party.
   * @param {string} view
   * @param {Query} [query]
   */
  address(view, query) {
    return address(view, { rp: this.relyingParty, ...query });
  }

  /**
   * Changes what the view was asked for, in the address, too. The view itself shows it.
   * @param {Query} changes null takes a value away
   * @param {unknown} [state] kept with the address in the browser's history
   */
  setQuery(changes, state = null) {
    for (const [name, value] of Object.entries(changes)) {
      if (value) this.query.set(name, value);
      else this.query.delete(name);
    }
    history.pushState(state, '', address(this.view, Object.fromEntries(this.query)));
  }
}
