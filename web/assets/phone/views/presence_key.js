/** What the accepts of a phone prove, and what to do about it. */

import { copyable, h, replace, toast } from '../../lib/dom.js';
import { shortId } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { Problem } from '../../lib/problem.js';
import { PresenceDenied } from '../errors.js';
import { button } from '../screen.js';
import { told } from '../told.js';

/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../accounts.js').Entry} Entry */

/**
 * Shows whether the presence key counts, once the gateway has said it.
 * @param {App} app
 * @param {Entry} entry
 * @param {HTMLElement} place
 */
export async function showPresenceKey(app, entry, place) {
  replace(place, h('p.muted', 'Asking the site what your accepts prove…'));
  try {
    const { presence_keys: held } = await entry.phone.status();
    replace(place, held ? content(app, entry, held[0]) : h('p.muted', 'The site does not say it.'));
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    replace(place, h('p.muted', 'The site cannot be asked now.'));
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
      if (cause instanceof PresenceDenied) toast('You did not confirm. The key is the old one.', { tone: 'bad' });
      else if (cause instanceof Problem) toast(`The key was not replaced. ${cause.sentence}`, { tone: 'bad' });
      else throw cause;
    }
    app.open(({ account }) => account(app, entry));
  };
  return [
    held?.counts ? h('p', 'That it is this phone, and that you are there.') : notCounting(entry, held),
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
    h('strong', 'That it is this phone, and no more'),
    h('p', 'Ask ', told(account.relyingParty), ' to approve this phone. They need its key:'),
    held && h('p', copyable(held.thumbprint, { label: 'key', shown: shortId(held.thumbprint) })),
  );
}
