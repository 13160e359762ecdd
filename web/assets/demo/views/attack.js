/** Simulates a stranger who knows a name: after a few requests further ones are refused for a while, and the owner can still sign in by a code. */

import { h, replace } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { Problem } from '../../lib/problem.js';
import { attack, untilEnded } from '../api.js';
import { explain } from '../view.js';

/** @typedef {import('../view.js').Bank} Bank */
/** @typedef {import('../api.js').Request} Request */

/** The most attempts the stranger makes. */
const TRIES = 5;

/** @type {Partial<Record<Request['status'], string>>} */
const ENDS = {
  EXPIRED: 'Not answered.',
  CANCELED: 'Replaced by a newer request.',
  REJECTED: 'Rejected on the phone.',
};

/**
 * Makes the stranger's attempts one after the other, and shows the result of each.
 * @param {Bank} bank
 * @param {string} user
 * @returns {import('../view.js').View}
 */
export function attackView(bank, user) {
  const leaving = new AbortController();
  const log = h('ol.list', { 'aria-label': 'Attempts' });
  const outcome = h('div.stack', { role: 'status' });
  const back = { type: 'button', onclick: () => bank.home() };
  void attempt(user, log, outcome, leaving.signal);
  return {
    leave: () => leaving.abort(),
    element: h(
      'section.narrow.card.stack.attack',
      h('div.sign.warn', icon('alert', 30)),
      h('h1', { tabindex: -1 }, 'Someone else is trying to sign in as you'),
      h(
        'p.lead',
        'All they know is your name. Your phone shows where each request comes from. Reject them there with “I did not start this”.',
      ),
      log,
      outcome,
      h('div.row', h('button.button.primary', back, icon('qr'), 'Sign in with a code instead')),
    ),
  };
}

/**
 * @param {string} user
 * @param {HTMLElement} log
 * @param {HTMLElement} outcome
 * @param {AbortSignal} signal
 */
async function attempt(user, log, outcome, signal) {
  for (let n = 0; n < TRIES; n += 1) {
    try {
      const request = await attack(user);
      if (signal.aborted) return;
      const end = h('span.small.muted', 'Sent to your phone.');
      log.append(h('li.list-item', icon('phone', 18), h('span.grow', `Attempt ${n + 1}`), end));
      void follow(request, end, signal);
    } catch (cause) {
      if (signal.aborted) return;
      replace(outcome, ...stopped(cause));
      return;
    }
  }
  replace(
    outcome,
    h(
      'p',
      'Nothing stops them: this relying party has no prompt budget, for compatibility with old clients. Turn it on:',
    ),
    h('pre.code', 'nodkey admin relying-parties update --tolerant-prompts false'),
  );
}

/**
 * @param {Request} request
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
async function follow({ id }, place, signal) {
  try {
    const { status, reject_reason: reason } = await untilEnded(id, signal);
    const accepted = 'Accepted. A real stranger would also have needed the number.';
    place.textContent = reason === 'not_me' ? 'You reported that it was not you.' : (ENDS[status] ?? accepted);
  } catch (cause) {
    if (!signal.aborted) place.textContent = explain(cause);
  }
}

/** @param {unknown} cause */
function stopped(cause) {
  const isStopped = cause instanceof Problem && ['PROMPT_BUDGET_EXHAUSTED', 'PROMPTS_HELD'].includes(cause.error);
  if (!isStopped) return [h('p', explain(cause))];
  const why =
    cause.error === 'PROMPTS_HELD'
      ? 'You reported that it was not you, so requests by name no longer reach your phone for now.'
      : 'No request was accepted, so the sender has to wait before the next one, longer each time.';
  return [
    h('p', h('strong', 'Stopped. '), why),
    h('p', `They may try again in ${Math.ceil(cause.retryAfter / 1000)} seconds.`),
    h('p', 'You can still sign in yourself: scan the code.'),
  ];
}
