/** The accounts of this phone, and its latest answers. */

import { h, replace } from '../../lib/dom.js';
import { exactly } from '../../lib/format.js';
import { icon, mark } from '../../lib/icons.js';
import { avatar, button, layout } from '../screen.js';
import { safeText } from '../safe_text.js';
import { addAccount } from './add.js';
import { answerRow } from './answer_row.js';
import { freeze } from './freeze.js';

/** @typedef {import('../accounts.js').Entry} Entry */

/** How many of the latest answers are shown. */
const LATEST = 5;

/** @type {Record<Entry['state'], [tone: string, text: string]>} */
const STATES = {
  connecting: ['', 'Connecting'],
  waiting: ['ok live', 'Ready'],
  offline: ['warn', 'No connection'],
  inactive: ['warn', 'Not active'],
  frozen: ['warn', 'Frozen'],
  gone: ['bad', 'Removed'],
};

/**
 * Lists the accounts and their states.
 * @param {import('../screen.js').App} app
 * @returns {import('../screen.js').Screen}
 */
export function home(app) {
  const list = h('div.card.flush.list');
  const untrusted = h('div', { 'aria-live': 'polite' });
  const joined = h('div.stack', { 'aria-live': 'polite' });
  const recent = h('div.stack');
  const whole = button('quiet block', [icon('clock'), 'History'], () => app.open(({ history }) => history(app)));
  const update = () => {
    updateAccounts(app, list);
    replace(untrusted, untrustedNotice(app.accounts.all));
    updateJoined(app, joined);
    replace(recent, answered(app));
    whole.hidden = !app.accounts.answered.length;
  };
  update();
  return {
    isIdle: true,
    update,
    element: layout({
      title: 'Your accounts',
      lead: h('p.logo', mark(22), 'Nodkey'),
      body: [h('p.muted', 'Requests from these sites appear here.'), untrusted, joined, list, recent, whole],
      actions: [
        button('primary large block', [icon('qr', 18), 'Scan a code'], () => app.open(({ scan }) => scan(app))),
        button('quiet block', [icon('plus'), 'Add an account'], () => app.show(addAccount(app))),
      ],
    }),
  };
}

/**
 * Keeps the row elements while the accounts stay the same, so that a focused row keeps its focus.
 * @param {import('../screen.js').App} app
 * @param {HTMLElement} list
 */
function updateAccounts(app, list) {
  const { all } = app.accounts;
  const rows = [.../** @type {Iterable<HTMLElement>} */ (list.children)];
  const isSame = rows.length === all.length && all.every(({ account }, i) => rows[i].dataset.id === account.id);
  if (!isSame)
    replace(
      list,
      all.map((entry) => row(app, entry)),
    );
  all.forEach(({ state }, i) => {
    const [tone, text] = STATES[state];
    const status = /** @type {HTMLElement} */ (list.children[i].querySelector('.status'));
    if (status.dataset.state === state) return;
    status.dataset.state = state;
    replace(status, h('span.dot', { class: tone }), text);
  });
}

/**
 * @param {import('../screen.js').App} app
 * @param {Entry} entry
 */
function row(app, entry) {
  const { id, relyingParty, user } = entry.account;
  return h(
    'button.list-item',
    { type: 'button', 'data-id': id, onclick: () => app.open(({ account }) => account(app, entry)) },
    avatar(relyingParty),
    h(
      'span.grow.stack.tight',
      h('strong.truncate', safeText(relyingParty)),
      h('span.small.muted.truncate', safeText(user)),
    ),
    h('span.status.small.muted'),
    icon('chevronRight'),
  );
}

/** @param {Entry[]} entries */
function untrustedNotice(entries) {
  const names = entries.filter((entry) => entry.untrusted > 0).map((entry) => entry.account.relyingParty);
  if (!names.length) return null;
  return h(
    'div.notice.bad',
    icon('shield'),
    h('strong', 'A request was not shown'),
    h('p', 'It claimed to be from ', safeText(names.join(', ')), ', but its signature is not valid.'),
  );
}

/**
 * Shows notices of phones that the person may not know. Keeps the elements while the notices stay the same, so that a focused button keeps
 * its focus.
 * @param {import('../screen.js').App} app
 * @param {HTMLElement} place
 */
function updateJoined(app, place) {
  const entries = app.accounts.all.filter(({ joined, state }) => joined && state !== 'frozen' && state !== 'gone');
  const shown = entries.map(({ account, joined }) => `${account.id} ${joined}`).join(' ');
  if (place.dataset.shown === shown) return;
  place.dataset.shown = shown;
  replace(
    place,
    entries.map((entry) => joinedNotice(app, entry)),
  );
}

/**
 * @param {import('../screen.js').App} app
 * @param {Entry} entry
 */
function joinedNotice(app, entry) {
  const { user, relyingParty } = entry.account;
  const at = new Date(entry.joined ?? 0);
  return h(
    'section.notice.warn',
    icon('phone'),
    h('strong', 'Another phone was added'),
    h(
      'div.stack.tight',
      h('p', 'It was added to your account ', safeText(user), ' on ', exactly(at), '.'),
      h('p', 'If it was not you, freeze your account and tell ', safeText(relyingParty), '.'),
      h(
        'div.row',
        button('small', 'It was me', () => app.accounts.know(entry)),
        button('small danger', [icon('ban'), 'Freeze my account'], () => freeze(app, entry)),
      ),
    ),
  );
}

/** @param {import('../screen.js').App} app */
function answered(app) {
  const { answered: all } = app.accounts;
  if (!all.length) return null;
  return [
    h('h2', 'Latest answers'),
    h(
      'ul.card.flush.list',
      all.slice(0, LATEST).map((one) => answerRow(one)),
    ),
  ];
}
