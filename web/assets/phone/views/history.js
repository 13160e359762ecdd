/** What this phone answered, the newest first. */

import { h, replace } from '../../lib/dom.js';
import { exactly, time } from '../../lib/format.js';
import { select } from '../../lib/form.js';
import { icon } from '../../lib/icons.js';
import { plain } from '../../lib/plain.js';
import { button, layout } from '../screen.js';
import { safeText } from '../safe_text.js';

/** @typedef {import('../history.js').Answered} Answered */

/** How many answers are shown at first, and with each press of the button. */
const STEP = 50;

/**
 * Lists every answer, or those of one account.
 * @param {import('../screen.js').App} app
 * @returns {import('../screen.js').Screen}
 */
export function history(app) {
  const list = h('ul.card.flush.list', { 'aria-label': 'Answers' });
  const more = h('div');
  const accounts = app.accounts.all.map(({ account }) => account);
  /** @type {[string, string][]} */
  const options = accounts.map(({ id, user, relyingParty }) => [id, plain(`${user}, ${relyingParty}`)]);
  const filter = select('account', [['', 'All accounts'], ...options]);
  filter.id = 'history-account';
  let count = STEP;
  const update = () => {
    const answers = app.accounts.answered.filter(({ account }) => !filter.value || account === filter.value);
    const nothing = h('li.list-item.small.muted', 'Nothing was answered yet.');
    replace(list, answers.length ? answers.slice(0, count).map((answered) => answerRow(answered, true)) : nothing);
    const showMore = () => {
      count += STEP;
      update();
    };
    replace(
      more,
      answers.length > count && button('block', `Show ${Math.min(STEP, answers.length - count)} more`, showMore),
    );
  };
  filter.addEventListener('change', () => {
    count = STEP;
    update();
  });
  update();
  return {
    isIdle: true,
    update,
    element: layout({
      title: 'History',
      back: () => app.next(),
      body: [
        h('p.muted', 'What this phone answered. It is stored in this browser alone, and removed with its account.'),
        accounts.length > 1 && h('div.field', h('label', { for: filter.id }, 'Account'), filter),
        list,
        more,
      ],
    }),
  };
}

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
