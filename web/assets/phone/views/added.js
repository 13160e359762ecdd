/** An account that was added. */

import { h } from '../../lib/dom.js';
import { button, message } from '../screen.js';
import { told } from '../told.js';

/**
 * Says that this phone is set up.
 * @param {import('../screen.js').App} app
 * @param {import('../store.js').Account} account
 * @returns {import('../screen.js').Screen}
 */
export function added(app, { user, relyingParty }) {
  return {
    isIdle: true,
    ...message({
      icon: 'check',
      tone: 'ok',
      title: 'This phone is set up',
      body: h('p', 'It answers for ', told(user), ' at ', told(relyingParty), ' from now on.'),
      actions: button('primary large', 'OK', () => app.next()),
    }),
  };
}
