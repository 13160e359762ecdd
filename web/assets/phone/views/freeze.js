/** What is asked before an account is frozen. */

import { ask } from '../../lib/dialog.js';
import { h } from '../../lib/dom.js';
import { told } from '../told.js';

/**
 * @param {import('../screen.js').App} app
 * @param {import('../accounts.js').Entry} entry
 */
export async function freeze(app, entry) {
  const { relyingParty, user } = entry.account;
  await ask({
    title: 'Freeze this account?',
    body: [
      h('p', 'No phone answers for ', told(user), ' at ', told(relyingParty), ' any more, this one included.'),
      h('p', 'No phone can undo it: ', told(relyingParty), ' releases the account when you have shown that it is you.'),
    ],
    submit: 'Freeze',
    danger: true,
    act: () => app.accounts.freeze(entry),
  });
}
