/** The confirmation before an account is frozen. */

import { ask } from '../../lib/dialog.js';
import { h } from '../../lib/dom.js';
import { safeText } from '../safe_text.js';

/**
 * @param {import('../screen.js').App} app
 * @param {import('../accounts.js').Entry} entry
 */
export async function freeze(app, entry) {
  const { relyingParty, user } = entry.account;
  await ask({
    title: 'Freeze this account?',
    body: [
      h('p', 'No phone can answer for ', safeText(user), ' at ', safeText(relyingParty), ', this one included.'),
      h('p', 'Only ', safeText(relyingParty), ' can release the account, after checking that it is you.'),
    ],
    submit: 'Freeze',
    danger: true,
    act: () => app.accounts.freeze(entry),
  });
}
