/** A question that was not accepted: why, and what to do now. */

import { h, toast } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { explain } from '../view.js';

/** @type {Record<string, [title: string, text: string]>} */
const WHY = {
  not_me: [
    'Rejected: it was not you',
    'Whoever holds the phone says they did not start this. If that was you after all, start again.',
  ],
  number_mismatch: ['That was another number', 'The number entered on the phone is not the one shown here.'],
  REJECTED: ['Rejected on the phone', 'Nothing was done.'],
  EXPIRED: ['Time ran out', 'Nobody answered on the phone.'],
  CANCELED: ['Taken back', 'Nothing was done.'],
  ACCEPTED_AT_LOWER_LEVEL: [
    'Not proof enough',
    'The phone accepted, but did not prove that it was you. Acme Bank wants that.',
  ],
};

/**
 * Says why nothing was done, and offers to start again.
 * @param {import('../view.js').Bank} bank
 * @param {import('../api.js').Request} request
 * @param {() => Promise<unknown>} [askAgain] nothing when only a new code helps
 * @returns {import('../view.js').View}
 */
export function refused(bank, { kind, status, reject_reason: reason }, askAgain) {
  const [title, text] = WHY[reason ?? ''] ?? WHY[status];
  const isAlarming = reason === 'not_me';
  const retry = async () => {
    try {
      await (askAgain ?? bank.home)();
    } catch (cause) {
      toast(explain(cause), { tone: 'bad' });
    }
  };
  const back = { type: 'button', onclick: () => bank.home() };
  return {
    element: h(
      'section.narrow.card.asked',
      h('div.sign', { class: isAlarming ? 'bad' : 'warn' }, icon(isAlarming ? 'shield' : 'alert', 30)),
      h('h1', { tabindex: -1 }, title),
      h('p.lead', text),
      h(
        'div.row',
        h('button.button.primary', { type: 'button', onclick: retry }, icon('refresh'), 'Start again'),
        askAgain && h('button.button.quiet', back, kind === 'sign_in' ? 'Back' : 'Back to the account'),
      ),
    ),
  };
}
