/** Messages for browsers that cannot be used as a phone. */

import { copyable, h } from '../../lib/dom.js';
import { REACHABLE } from '../../lib/reach.js';
import { button, message } from '../screen.js';

/** The page came over plain http from another machine, where browsers provide no keys. */
export function noKeys() {
  return message({
    icon: 'lock',
    tone: 'warn',
    title: 'This needs https',
    body: [
      h('p', 'Browsers provide keys only to pages served over https or by this machine. Start Nodkey with https:'),
      copyable(REACHABLE, { label: 'command', block: true }),
    ],
    actions: null,
  });
}

/** The browser does not let the page store anything. */
export function noStorage() {
  return message({
    icon: 'lock',
    tone: 'warn',
    title: 'This browser stores nothing',
    body: h('p', 'It does not let this page store keys. If this is a private window, open the page in a regular one.'),
    actions: button('primary large', 'Try again', () => location.reload()),
  });
}
