/** Browsers that cannot be a phone. */

import { copyable, h } from '../../lib/dom.js';
import { REACHABLE } from '../../lib/reach.js';
import { button, message } from '../screen.js';

/** The page came over plain http from another machine: browsers keep no keys for such. */
export function noKeys() {
  return message({
    icon: 'lock',
    tone: 'warn',
    title: 'This needs https',
    body: [
      h('p', 'Browsers keep keys only for pages that come by https, or from this very machine. Start Nodkey with it:'),
      copyable(REACHABLE, { label: 'command', block: true }),
    ],
    actions: null,
  });
}

/** The browser lets the page store nothing. */
export function noStorage() {
  return message({
    icon: 'lock',
    tone: 'warn',
    title: 'This browser keeps nothing',
    body: h('p', 'It lets this page store no keys: a private window may do that. Open the page in an ordinary one.'),
    actions: button('primary large', 'Try again', () => location.reload()),
  });
}
