/** While a request is pending: what to do on the phone, the time left, and ways to send it again or cancel it. */

import { countdown } from '../../lib/countdown.js';
import { h, toast } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { cancel, signIn, transfer, untilEnded } from '../api.js';
import { explain, failure } from '../view.js';
import { refused } from './refused.js';
import { receipt } from './receipt.js';

/** @typedef {import('../api.js').Request} Request */
/** @typedef {import('../view.js').Bank} Bank */
/** @typedef {{payee: string, amount: string}} Transfer */

/**
 * Waits for the phone's answer, and continues with it.
 * @param {Bank} bank
 * @param {Request} request
 * @param {string | Transfer} [what] to send again: a name, or a transfer; absent after a code, which cannot be reused
 * @returns {import('../view.js').View}
 */
export function waiting(bank, request, what) {
  const leaving = new AbortController();
  const clock = countdown({ start: Date.now(), end: Date.parse(request.expires_at), onOver: () => {} });
  void follow(bank, request, what, leaving.signal);
  return {
    leave: () => {
      leaving.abort();
      clock.stop();
    },
    element: h(
      'section.narrow.card.pending',
      h('div.sign.info', icon('phone', 30)),
      h('h1', { tabindex: -1 }, 'Confirm on your phone'),
      h('p.lead', instruction(request)),
      request.match_number && h('p.match.digits', request.match_number),
      h('div.row', clock.element, h('span.muted', { role: 'status' }, 'Waiting for your answer')),
      actions(bank, request, what),
    ),
  };
}

/** @param {Request} request */
function instruction({ kind, match_number: number }) {
  if (number) return 'Enter this number on your phone, then confirm that it is you.';
  if (kind === 'transfer') return 'Check the payee and the amount on your phone, then accept.';
  return 'Accept on your phone to sign in.';
}

/**
 * @param {Bank} bank
 * @param {Request} request
 * @param {string | Transfer | undefined} what
 */
function actions(bank, request, what) {
  /** @param {() => Promise<unknown>} act */
  const afterCancel = (act) => async (/** @type {MouseEvent} */ event) => {
    const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
    button.ariaBusy = 'true';
    try {
      await cancel(request.id);
      await act();
    } catch (cause) {
      button.ariaBusy = null;
      toast(explain(cause), { tone: 'bad' });
    }
  };
  const resend = what && afterCancel(() => sendAgain(bank, what));
  const open = { type: 'button', onclick: () => bank.phone.open() };
  return h(
    'div.row',
    !bank.phone.isShown && h('button.button.primary', open, icon('phone'), 'Open the phone'),
    resend && h('button.button', { type: 'button', onclick: resend }, icon('send'), 'Send again'),
    h('button.button.quiet', { type: 'button', onclick: afterCancel(() => bank.home()) }, 'Cancel'),
  );
}

/**
 * @param {Bank} bank
 * @param {string | Transfer} what
 */
async function sendAgain(bank, what) {
  bank.show(waiting(bank, await (typeof what === 'string' ? signIn({ user: what }) : transfer(what)), what));
}

/**
 * Continues when the phone has answered.
 * @param {Bank} bank
 * @param {Request} request
 * @param {string | Transfer | undefined} what
 * @param {AbortSignal} signal
 */
async function follow(bank, request, what, signal) {
  try {
    const done = await untilEnded(request.id, signal);
    const isAccepted = done.status === 'ACCEPTED' || done.status === 'ACCEPTED_AT_HIGHER_LEVEL';
    if (!isAccepted) return bank.show(refused(bank, done, what ? () => sendAgain(bank, what) : undefined));
    if (done.kind === 'sign_in') return await bank.home();
    if (typeof what === 'object') bank.transfers.unshift({ ...what, id: done.id });
    bank.show(receipt(bank, done));
  } catch (cause) {
    if (signal.aborted) return;
    bank.show(failure(cause, () => bank.show(waiting(bank, request, what))));
  }
}
