/** The result of an answer. */

import { h } from '../../lib/dom.js';
import { exactly } from '../../lib/format.js';
import { button, message } from '../screen.js';
import { safeText } from '../safe_text.js';

/** How long a simple result is shown, in milliseconds. */
const GLANCE = 2_500;

/**
 * Shows the result, and continues after a moment.
 * @param {import('../screen.js').App} app
 * @param {import('../../lib/challenge.js').Challenge} challenge
 * @param {import('../protocol.js').Answer} answer
 * @param {{why?: string, number?: string}} [more] the answer
 * @returns {import('../screen.js').Screen}
 */
export function outcome(app, { rp, act }, { status, held_until: heldUntil }, { why, number } = {}) {
  const name = safeText(rp.name);
  const actions = button('large', 'Done', () => app.next());
  const isAccepted = status !== 'REJECTED';
  // A hold takes a while to read.
  const timer = heldUntil ? undefined : setTimeout(() => app.next(), isAccepted ? GLANCE : 2 * GLANCE);
  /** @type {Omit<Parameters<typeof message>[0], 'actions'>} */
  let said = {
    icon: 'check',
    tone: 'ok',
    title: 'Accepted',
    body: [h('p.act', safeText(act)), h('p', 'Continue at ', name, '.')],
  };
  if (status === 'ACCEPTED_AT_LOWER_LEVEL') {
    said = { ...said, body: h('p', name, ' requires more proof than this phone gave, and may refuse.') };
  } else if (!isAccepted && number) {
    said = { icon: 'close', tone: 'bad', title: 'Rejected', body: h('p', 'That was not the number on the page.') };
  } else if (!isAccepted && why === 'not_me') {
    said = {
      icon: 'shield',
      title: 'Rejected',
      body: [
        h('p', name, ' was notified that it was not you who started this.'),
        heldUntil && h('p', 'Until ', exactly(new Date(heldUntil)), ', further attempts do not reach your phone.'),
        heldUntil && h('p', 'You can still sign in: scan the code on the page.'),
      ],
    };
  } else if (!isAccepted) {
    said = { icon: 'close', title: 'Rejected', body: h('p', 'Nothing was done at ', name, '.') };
  }
  return { ...message({ ...said, actions }), leave: () => clearTimeout(timer), isIdle: !heldUntil };
}
