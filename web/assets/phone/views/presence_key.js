/** What this phone's answers prove, and how to replace its presence key. */

import { copyable, h, replace, toast } from '../../lib/dom.js';
import { shortId } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { Problem } from '../../lib/problem.js';
import { PresenceDenied } from '../errors.js';
import { button } from '../screen.js';
import { safeText } from '../safe_text.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../accounts.js').Entry} Entry */

/**
 * Shows whether the presence key counts, once the gateway has answered.
 * @param {App} app
 * @param {Entry} entry
 * @param {HTMLElement} place
 */
export async function showPresenceKey(app, entry, place) {
  replace(place, h('p.muted', 'Checking with the site…'));
  try {
    const { presence_keys: held } = await entry.phone.status();
    replace(place, held ? content(app, entry, held[0]) : h('p.muted', 'The site does not say.'));
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    replace(place, h('p.muted', 'The site cannot be reached now.'));
  }
}

/**
 * @param {App} app
 * @param {Entry} entry
 * @param {import('../protocol.js').HeldKey | undefined} held
 */
function content(app, entry, held) {
  const renew = async () => {
    try {
      await app.accounts.renewKey(entry);
      toast('The key was replaced');
    } catch (cause) {
      if (cause instanceof PresenceDenied) toast('Not confirmed. The key was not replaced.', { tone: 'bad' });
      else if (cause instanceof Problem) toast(`The key was not replaced. ${cause.sentence}`, { tone: 'bad' });
      else throw cause;
    }
    app.open(({ account }) => account(app, entry));
  };
  return [
    held?.counts
      ? h('p', 'Phone and presence (level 2): that it is this phone, and that you are there.')
      : notCounting(entry, held),
    button('', 'Replace the key', renew),
  ];
}

/**
 * @param {Entry} entry
 * @param {import('../protocol.js').HeldKey | undefined} held
 */
function notCounting({ account }, held) {
  return h(
    'div.notice.warn',
    icon('alert'),
    h('strong', 'Phone only (level 1): not that you are there'),
    h('p', 'Ask ', safeText(account.relyingParty), ' to approve this phone. They need its key:'),
    held && h('p', copyable(held.thumbprint, { label: 'key', shown: shortId(held.thumbprint) })),
  );
}
