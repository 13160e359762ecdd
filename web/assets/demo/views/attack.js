/** What a stranger gets who knows a name: the phone rings a few times, then others have to pause, and the owner signs in by a code meanwhile. */

import { h, replace } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { Problem } from '../../lib/problem.js';
import { attack, untilOver } from '../api.js';
import { explain } from '../view.js';

/** @typedef {import('../view.js').Bank} Bank */
/** @typedef {import('../api.js').Request} Request */

/** How often the stranger tries at most. */
const TRIES = 5;

/** @type {Partial<Record<Request['status'], string>>} */
const ENDS = {
  EXPIRED: 'Nobody answered.',
  CANCELED: 'A newer one took its place.',
  REJECTED: 'Rejected on the phone.',
};

/**
 * Lets the stranger try, one time after the other, and says what came of each.
 * @param {Bank} bank
 * @param {string} user
 * @returns {import('../view.js').View}
 */
export function attackView(bank, user) {
  const leaving = new AbortController();
  const log = h('ol.list', { 'aria-label': 'What the stranger tried' });
  const outcome = h('div.stack', { role: 'status' });
  const back = { type: 'button', onclick: () => bank.home() };
  void tryAgainAndAgain(user, log, outcome, leaving.signal);
  return {
    leave: () => leaving.abort(),
    element: h(
      'section.narrow.card.stack.attack',
      h('div.sign.warn', icon('alert', 30)),
      h('h1', { tabindex: -1 }, 'Somebody else tries to sign in as you'),
      h('p.lead', 'They know your name, no more. Look at your phone: it says where they are. Say that it was not you.'),
      log,
      outcome,
      h('div.row', h('button.button.primary', back, icon('qr'), 'Sign in by code meanwhile')),
    ),
  };
}

/**
 * @param {string} user
 * @param {HTMLElement} log
 * @param {HTMLElement} outcome
 * @param {AbortSignal} signal
 */
async function tryAgainAndAgain(user, log, outcome, signal) {
  for (let n = 0; n < TRIES; n += 1) {
    try {
      const request = await attack(user);
      if (signal.aborted) return;
      const end = h('span.small.muted', 'Your phone rings.');
      log.append(h('li.list-item', icon('phone', 18), h('span.grow', `Try ${n + 1}`), end));
      void follow(request, end, signal);
    } catch (cause) {
      if (signal.aborted) return;
      replace(outcome, ...stopped(cause));
      return;
    }
  }
  replace(
    outcome,
    h('p', 'Nothing stops them: this relying party has no budgets, for the sake of old clients. Give it some:'),
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
    const { status, reject_reason: reason } = await untilOver(id, signal);
    const accepted = 'Accepted! In the real world the stranger would need the number, too.';
    place.textContent = reason === 'not_me' ? 'You said that it was not you.' : (ENDS[status] ?? accepted);
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
      ? 'You said that it was not you: nobody rings your phone by name now.'
      : 'Nobody said yes, so others have to wait before they ring your phone again, longer each time.';
  return [
    h('p', h('strong', 'Stopped. '), why),
    h('p', `They may try again in ${Math.ceil(cause.retryAfter / 1000)} seconds.`),
    h('p', 'Your own way stays open all the while: scan the code, and you are in.'),
  ];
}
