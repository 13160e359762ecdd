/** What this phone answered, in IndexedDB beside the accounts. */

import { HISTORY, transact } from './store.js';

/**
 * An answer of an account. All texts are the relying party's, and untrusted.
 * @typedef {object} Answered
 * @property {string} account device identifier
 * @property {number} at milliseconds
 * @property {string} relyingParty its name
 * @property {string} user
 * @property {string} action
 * @property {string} resource
 * @property {import('../lib/challenge.js').Decision} decision
 * @property {import('../lib/challenge.js').RejectReason} [why]
 * @property {import('./protocol.js').Answer['status']} status
 */

/** The most answers kept for an account. The oldest are dropped. */
export const MAX_ANSWERS = 500;

/**
 * Every answer, the newest first.
 * @returns {Promise<Answered[]>}
 */
export async function listAnswers() {
  const answers = await transact([HISTORY], 'readonly', (store) => store(HISTORY).getAll());
  return answers.toSorted((/** @type {Answered} */ a, /** @type {Answered} */ b) => b.at - a.at);
}

/**
 * Adds an answer, and drops those of its account that are too many.
 * @param {Answered} answered
 */
export async function addAnswer(answered) {
  await transact([HISTORY], 'readwrite', (store) => {
    const history = store(HISTORY);
    const added = history.add(answered);
    const ofAccount = history.index('account').getAllKeys(answered.account);
    // Keys count up, so the first are the oldest.
    ofAccount.onsuccess = () => {
      const excess = Math.max(0, ofAccount.result.length - MAX_ANSWERS);
      for (const key of ofAccount.result.slice(0, excess)) history.delete(key);
    };
    return added;
  });
}
