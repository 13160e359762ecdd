/** The parts that every view of the bank is made of. */

import { h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';
import { Problem } from '../lib/problem.js';

/** @typedef {import('../lib/dom.js').Child} Child */
/**
 * @typedef {object} View
 * @property {HTMLElement} element its first heading gets the focus
 * @property {() => void} [leave] called when another view replaces it
 */
/**
 * What views use of the page.
 * @typedef {object} Bank
 * @property {import('./api.js').Site} site
 * @property {import('./phone_panel.js').PhonePanel} phone
 * @property {import('./steps.js').Steps} steps
 * @property {{payee: string, amount: string, id: string}[]} transfers since the page was opened, the newest first
 * @property {(view: View) => void} show
 * @property {(notice?: Child) => Promise<void>} home shows the account, or the sign-in when nobody is signed in
 */

/** @type {Record<string, string>} */
const PROBLEMS = {
  UNREACHABLE: 'The bank cannot be reached. Check the network, then try again.',
  DEVICE_HAS_NO_ACTIVE_BINDING: 'That phone is not set up for Acme Bank. Set it up, then try again.',
  PROMPT_BUDGET_EXHAUSTED:
    'Too many requests to your phone were not accepted. Scan the code instead: that always works.',
  PROMPTS_HELD:
    'You reported that it was not you, so requests by name are on hold. Scan the code instead: that always works.',
  TOO_MANY_PENDING: 'Too many requests are pending on that phone. Answer them, or wait until they expire.',
  USER_FROZEN: 'This account is frozen because a phone was lost. Acme Bank must release it first.',
  USER_HAS_NO_ACTIVE_DEVICE: 'There is no phone for this name. Set one up first, or scan the code.',
};

/**
 * Returns a message for something that was thrown. Unexpected errors are also reported.
 * @param {unknown} cause
 */
export function explain(cause) {
  if (cause instanceof Problem) return PROBLEMS[cause.error] ?? cause.sentence;
  reportError(cause);
  return 'Something went wrong on this page. Try again.';
}

/**
 * Returns the problem with the bank's message, for forms.
 * @param {unknown} cause
 */
export function worded(cause) {
  if (!(cause instanceof Problem)) return cause;
  const isNamed = cause.error === 'VALIDATION_FAILED';
  return new Problem(cause.status, cause.error, explain(cause), { fieldErrors: isNamed ? cause.fieldErrors : {} });
}

/**
 * A view that shows what failed, with a button to try again.
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
 * Formats an amount in euros.
 * @param {string | number} amount
 */
export function euros(amount) {
  return new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' }).format(Number(amount));
}

/** What each level proves. */
export const LEVELS = [
  'Nothing',
  'Phone (level 1)',
  'Phone and presence (level 2)',
  'Phone, presence and identity document (level 3)',
];
