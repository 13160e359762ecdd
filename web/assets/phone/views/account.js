/** One account: its details, its name, its guard and its removal. */

import { ask } from '../../lib/dialog.js';
import { copyable, h, replace, toast } from '../../lib/dom.js';
import { field } from '../../lib/form.js';
import { shortId } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { canVerifyUser, createPasskey } from '../presence.js';
import { avatar, button, layout } from '../screen.js';
import { safeText } from '../safe_text.js';
import { freeze } from './freeze.js';
import { showNotifications } from './notifications.js';
import { showPresenceKey } from './presence_key.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../accounts.js').Entry} Entry */

const GONE = 'The site no longer knows this phone. Remove the account here, then set it up again.';
const INACTIVE =
  'The site does not accept answers from this phone now. Wait, or remove the account here and set it up again.';

const FROZEN =
  'This account receives no requests, and no phone can answer for it. Ask the site to release it. It will first check that it is you.';

/**
 * Shows an account and what can be changed.
 * @param {App} app
 * @param {Entry} entry
 * @returns {import('../screen.js').Screen}
 */
export function account(app, entry) {
  const { id, relyingParty, user, gateway } = entry.account;
  const facts = h('dl.facts');
  const guard = h('div.stack.tight');
  const lost = h('div.stack.tight');
  const presenceKey = h('div.stack.tight', { 'aria-live': 'polite' });
  const notifications = h('div.stack.tight', { 'aria-live': 'polite' });
  const update = () => {
    replace(lost, lostPhone(app, entry));
    replace(facts, [
      ...fact('Account', safeText(user)),
      ...fact('This phone', safeText(entry.account.name)),
      ...fact('Service', safeText(gateway)),
      ...fact('Device', copyable(id, { label: 'device identifier', shown: shortId(id) })),
    ]);
    void showGuard(app, entry, guard);
  };
  update();
  if (entry.state !== 'gone') {
    void showPresenceKey(app, entry, presenceKey);
    void showNotifications(app, entry, notifications);
  }
  return {
    isIdle: true,
    update,
    element: layout({
      back: () => app.next(),
      lead: avatar(relyingParty),
      title: safeText(relyingParty),
      body: [
        entry.state === 'gone' && trouble('No longer registered', GONE),
        entry.state === 'inactive' && trouble('Not active', INACTIVE),
        h('div.card', facts),
        h('div.card.stack', h('h2', 'How you confirm'), guard),
        entry.state !== 'gone' && h('div.card.stack', h('h2', 'Notifications'), notifications),
        entry.state !== 'gone' && h('div.card.stack', h('h2', 'Lost another phone?'), lost),
        entry.state !== 'gone' && h('div.card.stack', h('h2', 'What your answers prove'), presenceKey),
      ],
      actions: [
        entry.state === 'inactive' &&
          button('block', [icon('phone'), 'Move from my old phone'], () =>
            app.open(({ transferCode }) => transferCode(app, entry)),
          ),
        entry.state !== 'gone' && button('block', [icon('edit'), 'Rename this phone'], () => rename(app, entry)),
        button('quiet danger block', [icon('trash'), 'Remove this account'], () => remove(app, entry)),
      ],
    }),
  };
}

/**
 * @param {string} name
 * @param {Node} value
 */
function fact(name, value) {
  return [h('dt', name), h('dd', value)];
}

/**
 * @param {string} title
 * @param {string} text
 */
function trouble(title, text) {
  return h('div.notice.bad', icon('alert'), h('strong', title), h('p', text));
}

/**
 * @param {App} app
 * @param {Entry} entry
 * @param {HTMLElement} place
 */
async function showGuard(app, entry, place) {
  const { passkey } = entry.account;
  const canVerify = passkey || (await canVerifyUser());
  const change = async () => {
    try {
      await app.accounts.guard(entry, passkey ? undefined : await createPasskey(entry.account.user));
    } catch (cause) {
      if (!(cause instanceof DOMException)) throw cause;
      toast('Your device declined. Nothing was changed.', { tone: 'bad' });
    }
  };
  replace(
    place,
    h(
      'p',
      passkey ? 'This device checks your fingerprint, face or PIN.' : 'You press a button, which verifies nobody.',
    ),
    canVerify
      ? button('', passkey ? 'Use the button instead' : 'Use this device’s fingerprint, face or PIN', change)
      : h('p.small.muted', 'This browser cannot check a fingerprint or PIN on this page.'),
  );
}

/**
 * @param {App} app
 * @param {Entry} entry
 */
function lostPhone(app, entry) {
  if (entry.state === 'frozen') return h('p', FROZEN);
  return [
    h('p', 'Freeze the account so that nobody with the other phone can answer for you.'),
    button('', [icon('ban'), 'I lost another phone'], () => freeze(app, entry)),
  ];
}

/**
 * @param {App} app
 * @param {Entry} entry
 */
async function rename(app, entry) {
  const input = h('input', { name: 'name', value: entry.account.name, required: true, maxlength: 100 });
  await ask({
    title: 'Rename this phone',
    body: field('Name', input, 'How the site lists this device.'),
    submit: 'Rename',
    act: (form) => app.accounts.rename(entry, String(form.get('name')).trim()),
  });
}

/**
 * @param {App} app
 * @param {Entry} entry
 */
async function remove(app, entry) {
  const { relyingParty, user } = entry.account;
  const done = await ask({
    title: 'Remove this account?',
    body: h(
      'p',
      'This phone can no longer answer for ',
      safeText(user),
      ' at ',
      safeText(relyingParty),
      '. Its keys are deleted.',
    ),
    submit: 'Remove',
    danger: true,
    act: () => app.accounts.remove(entry),
  });
  if (done) app.next();
}
