/** One answer in a list. */

import { h } from '../../lib/dom.js';
import { exactly, time } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { safeText } from '../safe_text.js';

/** @typedef {import('../history.js').Answered} Answered */

/**
 * @param {Answered} answered
 * @param {boolean} [isWhole] whether to show resource, account and the exact time
 */
export function answerRow({ at, relyingParty, user, action, resource, why, decision, status }, isWhole = false) {
  const isAccepted = status !== 'REJECTED';
  return h(
    'li.list-item',
    h('span.result', { class: isAccepted ? 'ok' : 'bad' }, icon(isAccepted ? 'check' : 'close')),
    h(
      'span.grow.stack.tight',
      h('span', safeText(action)),
      isWhole && h('span.small', safeText(resource)),
      h('span.small.muted', outcome(decision, status, why), ', ', safeText(relyingParty)),
      isWhole && h('span.small.muted', 'As ', safeText(user), ', ', exactly(new Date(at))),
    ),
    !isWhole && h('span.small.muted', time(at)),
  );
}

/**
 * @param {Answered['decision']} decision
 * @param {Answered['status']} status
 * @param {Answered['why']} why
 */
function outcome(decision, status, why) {
  if (status === 'ACCEPTED_AT_LOWER_LEVEL') return 'Accepted with less proof than required';
  if (status !== 'REJECTED') return 'Accepted';
  if (decision === 'accept') return 'Rejected for a wrong number';
  return why === 'not_me' ? 'Rejected, not started by you' : 'Rejected';
}
