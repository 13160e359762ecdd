/** A request that was not accepted: why, and what to do. */

import { h, toast } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { explain } from '../view.js';

/** @type {Record<string, [title: string, text: string]>} */
const WHY = {
  not_me: [
    'Rejected: it was not you',
    'The person with the phone reported that they did not start this. If it was you, start again.',
  ],
  number_mismatch: ['Wrong number', 'The number entered on the phone is not the one shown here.'],
  REJECTED: ['Rejected on the phone', 'Nothing was done.'],
  EXPIRED: ['Time ran out', 'The request was not answered on the phone.'],
  CANCELED: ['Canceled', 'Nothing was done.'],
  ACCEPTED_AT_LOWER_LEVEL: [
    'Not enough proof',
    'The phone accepted, but did not prove your presence (level 2), which Acme Bank requires.',
  ],
};

/**
 * Shows why nothing was done, and offers to start again.
 * @param {import('../view.js').Bank} bank
 * @param {import('../api.js').Request} request
 * @param {() => Promise<unknown>} [sendAgain] absent when only a new code helps
 * @returns {import('../view.js').View}
 */
export function refused(bank, { kind, status, reject_reason: reason }, sendAgain) {
  const [title, text] = WHY[reason ?? ''] ?? WHY[status];
  const isAlarming = reason === 'not_me';
  const retry = async () => {
    try {
      await (sendAgain ?? bank.home)();
    } catch (cause) {
      toast(explain(cause), { tone: 'bad' });
    }
  };
  const back = { type: 'button', onclick: () => bank.home() };
  return {
    element: h(
      'section.narrow.card.pending',
      h('div.sign', { class: isAlarming ? 'bad' : 'warn' }, icon(isAlarming ? 'shield' : 'alert', 30)),
      h('h1', { tabindex: -1 }, title),
      h('p.lead', text),
      h(
        'div.row',
        h('button.button.primary', { type: 'button', onclick: retry }, icon('refresh'), 'Start again'),
        sendAgain && h('button.button.quiet', back, kind === 'sign_in' ? 'Back' : 'Back to the account'),
      ),
    ),
  };
}
