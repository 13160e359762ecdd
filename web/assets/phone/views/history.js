/** What this phone answered, the newest first. */

import { h, replace } from '../../lib/dom.js';
import { select } from '../../lib/form.js';
import { plain } from '../../lib/plain.js';
import { button, layout } from '../screen.js';
import { answerRow } from './answer_row.js';

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
