/** What stands where there is nothing, nothing yet, or nothing because it failed. */
import { h, replace } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { Problem } from '../../lib/problem.js';
import { button } from './elements.js';

/** @typedef {import('../../lib/dom.js').Child} Child */

/**
 * Says that there is nothing, and how there could be something.
 * @param {{ icon: import('../../lib/icons.js').IconName, title: string, text: Child, action?: Child }} content
 */
export function empty({ icon: drawn, title, text, action }) {
  return h('div.empty', icon(drawn, 24), h('strong', title), h('p', text), action);
}

/**
 * Says what failed, with a button to try again.
 * @param {unknown} cause
 * @param {() => void} again
 */
export function failure(cause, again) {
  if (!(cause instanceof Problem)) reportError(cause);
  const problem =
    cause instanceof Problem ? cause : new Problem(-1, 'UNEXPECTED', 'An unexpected error occurred in the console.');
  const { title, retry } = explain(problem);
  return h(
    'div.failure',
    { role: 'alert' },
    icon('alert', 24),
    h('strong', title),
    h('p', problem.message, ' ', h('code', problem.error)),
    retry && button('Try again', again, { icon: 'refresh' }),
  );
}

/**
 * @param {Problem} problem
 * @returns {{ title: string, retry: boolean }}
 */
function explain({ status }) {
  if (status === 0) return { title: 'The server cannot be reached', retry: true };
  if (status === 403) return { title: 'Your role does not allow this', retry: false };
  if (status === 404) return { title: 'Not found', retry: false };
  return { title: 'This could not be loaded', retry: true };
}

/**
 * Shows grey lines where text will be.
 * @param {number} lines
 */
export function waiting(lines) {
  return h(
    'div.stack',
    { 'aria-busy': 'true', class: 'waiting' },
    h('p.visually-hidden', 'Loading'),
    Array.from({ length: lines }, () => h('span.skeleton')),
  );
}

/**
 * Shows at a place what has to be waited for: grey lines, then it, or that it failed.
 * @template {Element} E
 * @param {E} place
 * @param {AbortSignal} signal after which nothing is shown any more
 * @param {() => Promise<Child>} make
 * @param {number} [lines]
 * @returns {Promise<void>}
 */
export async function eventually(place, signal, make, lines = 4) {
  if (!place.hasChildNodes()) replace(place, waiting(lines));
  try {
    const content = await make();
    if (!signal.aborted) replace(place, content);
  } catch (cause) {
    if (signal.aborted) return;
    replace(
      place,
      failure(cause, () => void eventually(replace(place), signal, make, lines)),
    );
  }
}
