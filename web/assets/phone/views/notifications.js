/** The notifications of one account: what they are, and a switch. */

import { h, replace, toast } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { Problem } from '../../lib/problem.js';
import { notificationState } from '../notifications.js';
import { button } from '../screen.js';
import { explain } from '../words.js';

/** @typedef {import('../notifications.js').State} State */

const WHAT =
  'You get a notification when a request arrives while this page is closed. It never shows what the request says.';

/** @type {Partial<Record<State, string>>} */
const WHY_NOT = {
  unsupported: 'This browser cannot receive notifications on this page.',
  unavailable: 'The site has not set up notifications.',
  blocked: 'Notifications are blocked for this page. Allow them in the browser’s settings.',
};

/**
 * Shows the switch once its state is known.
 * @param {import('../screen.js').App} app
 * @param {import('../accounts.js').Entry} entry
 * @param {HTMLElement} place
 */
export async function showNotifications({ accounts }, entry, place) {
  /** @param {State} state */
  const show = (state) => {
    const isOn = state === 'on';
    const act = async (/** @type {MouseEvent} */ event) => {
      const control = /** @type {HTMLButtonElement} */ (event.currentTarget);
      control.ariaBusy = 'true';
      try {
        if (isOn) await accounts.turnOffNotifications(entry);
        show(isOn ? 'off' : await accounts.turnOnNotifications(entry));
      } catch (cause) {
        control.ariaBusy = null;
        toast(failure(cause), { tone: 'bad' });
      }
    };
    replace(
      place,
      h('p', isOn ? 'Notifications are on. They never show what a request says.' : WHAT),
      WHY_NOT[state]
        ? h('p.small.muted', WHY_NOT[state])
        : button('', [icon('phone'), isOn ? 'Turn off notifications' : 'Turn on notifications'], act),
    );
  };
  try {
    show(await notificationState(entry.account, entry.phone));
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    replace(place, h('p.muted', 'The site cannot be reached now.'));
  }
}

/** @param {unknown} cause */
function failure(cause) {
  if (cause instanceof DOMException) return 'This browser did not subscribe to notifications. Try again later.';
  return explain(cause);
}
