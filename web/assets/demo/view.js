/** What every view of the bank is made of. */

import { h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { Problem } from '../lib/problem.js';

/** @typedef {import('../lib/dom.js').Child} Child */
/**
 * @typedef {object} View
 * @property {HTMLElement} element its first heading gets the focus
 * @property {() => void} [leave] called when another view takes its place
 */
/**
 * What views use of the page.
 * @typedef {object} Bank
 * @property {import('./api.js').Site} site
 * @property {import('./phone_panel.js').PhonePanel} phone
 * @property {{payee: string, amount: string, id: string}[]} transfers made since the page was opened, the newest first
 * @property {(view: View) => void} show
 * @property {(notice?: Child) => Promise<void>} home shows the account of who is signed in, or the way in
 */

/** @type {Record<string, string>} */
const PROBLEMS = {
  UNREACHABLE: 'The bank cannot be reached. Check the connection, then try again.',
  DEVICE_HAS_NO_ACTIVE_BINDING: 'That phone is not set up for Acme Bank yet. Set it up, then try again.',
  ORIGIN_NOT_ALLOWED: 'Codes are not allowed on this address. Open the page at the address the server tells.',
  PROMPT_BUDGET_EXHAUSTED: 'Your phone was asked too often without your yes. Scan the code instead: that always works.',
  PROMPTS_HELD:
    'You said that it was not you, so nobody is asked by name for now. Scan the code instead: that always works.',
  TOO_MANY_PENDING: 'Too many questions wait on that phone already. Answer them, or wait until they run out.',
  USER_FROZEN: 'This account is frozen because a phone was lost. Acme Bank has to release it first.',
  USER_HAS_NO_ACTIVE_DEVICE: 'There is no phone for that name. Set one up first, or scan the code.',
};

/**
 * Words for something that was thrown. What should not have been is reported besides.
 * @param {unknown} cause
 */
export function explain(cause) {
  if (cause instanceof Problem) return PROBLEMS[cause.error] ?? cause.sentence;
  reportError(cause);
  return 'Something went wrong on this page. Try again.';
}

/**
 * A problem whose message is in the bank's words, for forms.
 * @param {unknown} cause
 */
export function worded(cause) {
  if (!(cause instanceof Problem)) return cause;
  const isNamed = cause.error === 'VALIDATION_FAILED';
  return new Problem(cause.status, cause.error, explain(cause), { fieldErrors: isNamed ? cause.fieldErrors : {} });
}

/**
 * A view that says what failed, with a button to try again.
 * @param {unknown} cause
 * @param {() => unknown} retry
 * @returns {View}
 */
export function failure(cause, retry) {
  const again = h('button.button.primary', { type: 'button', onclick: retry }, icon('refresh'), 'Try again');
  const heading = h('h1', { tabindex: -1 }, 'That did not work');
  return { element: h('section.narrow.failure', icon('alert', 28), heading, h('p', explain(cause)), again) };
}

/**
 * Euros, as people write them.
 * @param {string | number} amount
 */
export function euros(amount) {
  return new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' }).format(Number(amount));
}

/** What was proven, by level. */
export const LEVELS = ['Nothing', 'Your phone', 'Your phone and your presence', 'Your phone, presence and document'];
