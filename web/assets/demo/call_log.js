/** The calls and events of the demo: those of the bank's backend, which records them, and those of this page. */

import { CHANNEL } from '../lib/handoff.js';
import { activity, readCalls } from './api.js';

/** @typedef {import('./curl.js').ShownCall & {kind: 'call', status: number, response?: unknown, at: string}} CallEntry */
/** @typedef {{kind: 'event', name: string, data: {id: string, action: string}, at: string}} EventEntry */
/** @typedef {CallEntry | EventEntry} Entry */

/** The most entries that are kept. */
const MAX_ENTRIES = 60;

/** Dispatches `change` when entries were added. */
export class CallLog extends EventTarget {
  /** @type {{key?: string, entry: Entry}[]} */
  #entries = [];
  #last = 0;
  /** @type {Promise<void>} */
  #reading = Promise.resolve();
  #isQueued = false;

  constructor() {
    super();
    activity.addEventListener('backend', () => this.refresh());
    activity.addEventListener('page', (event) => {
      const { key, ...call } = /** @type {CustomEvent} */ (event).detail;
      this.#add({ key, entry: { kind: 'call', by: 'page', at: new Date().toISOString(), ...call } });
    });
    // The phone in this browser has been set up, for which the backend made calls.
    new BroadcastChannel(CHANNEL).addEventListener(
      'message',
      ({ data }) => data?.type === 'accounts' && this.refresh(),
    );
  }

  /** All entries, the oldest first. */
  get entries() {
    return this.#entries.map(({ entry }) => entry);
  }

  /** Reads what the backend has recorded since. A failure is made up for by the next refresh. */
  refresh() {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#reading = this.#reading.then(() => this.#read()).catch(() => {});
  }

  async #read() {
    this.#isQueued = false;
    for (const { number, ...entry } of await readCalls(this.#last)) {
      this.#last = number;
      this.#add({ entry: entry.kind === 'call' ? { by: 'backend', ...entry } : entry });
    }
  }

  /**
   * Adds an entry. It replaces the latest one with the same key: of the codes that nobody scanned, one is enough.
   * @param {{key?: string, entry: Entry}} added
   */
  #add(added) {
    const isLast = added.key && this.#entries.at(-1)?.key === added.key;
    this.#entries.splice(isLast ? -1 : this.#entries.length, isLast ? 1 : 0, added);
    this.#entries = this.#entries.slice(-MAX_ENTRIES);
    this.dispatchEvent(new Event('change'));
  }
}
