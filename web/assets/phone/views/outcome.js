/** What became of an answer. */

import { h } from '../../lib/dom.js';
import { exactly } from '../../lib/format.js';
import { button, message } from '../screen.js';
import { told } from '../told.js';

/** How long it stays, in milliseconds, when there is nothing to read but that it worked. */
const GLANCE = 2_500;

/**
 * Says what became of it, and goes on after a moment.
 * @param {import('../screen.js').App} app
 * @param {import('../../lib/challenge.js').Challenge} challenge
 * @param {import('../protocol.js').Answer} answer
 * @param {{why?: string, number?: string}} [more] how it was answered
 * @returns {import('../screen.js').Screen}
 */
export function outcome(app, { rp, act }, { status, held_until: heldUntil }, { why, number } = {}) {
  const name = told(rp.name);
  const actions = button('large', 'Done', () => app.next());
  const isAccepted = status !== 'REJECTED';
  // What happens now takes a while to read.
  const timer = heldUntil ? undefined : setTimeout(() => app.next(), isAccepted ? GLANCE : 2 * GLANCE);
  /** @type {Omit<Parameters<typeof message>[0], 'actions'>} */
  let said = {
    icon: 'check',
    tone: 'ok',
    title: 'Accepted',
    body: [h('p.act', told(act)), h('p', 'Go on at ', name, '.')],
  };
  if (status === 'ACCEPTED_AT_LOWER_LEVEL') {
    said = { ...said, body: h('p', name, ' wanted more proof than this phone gave, and may say no.') };
  } else if (!isAccepted && number) {
    said = { icon: 'close', tone: 'bad', title: 'Rejected', body: h('p', 'That was not the number on the page.') };
  } else if (!isAccepted && why === 'not_me') {
    said = {
      icon: 'shield',
      title: 'Rejected',
      body: [
        h('p', name, ' was notified that it was not you who started this.'),
        heldUntil &&
          h('p', 'Until ', exactly(new Date(heldUntil)), ', whoever tries this again does not reach your phone.'),
        heldUntil && h('p', 'You can sign in all the while: scan the code on the page.'),
      ],
    };
  } else if (!isAccepted) {
    said = { icon: 'close', title: 'Rejected', body: h('p', 'Nothing happens at ', name, '.') };
  }
  return { ...message({ ...said, actions }), leave: () => clearTimeout(timer), isIdle: !heldUntil };
}
