/** How to use a real phone instead of the one beside the site. */

import { tell } from '../lib/dialog.js';
import { copyable, h } from '../lib/dom.js';
import { qrSvg } from '../lib/qr.js';
import { REACHABLE } from '../lib/reach.js';

/**
 * Tells how to, in a dialog.
 * @param {string} gateway the deployment's public URL
 * @param {string} path of the phone's page
 */
export async function tellOfRealPhone(gateway, path) {
  await tell({ title: 'Use a real phone', body: isLocal(gateway) ? outOfReach() : inReach(`${gateway}${path}`) });
}

/** @param {string} address */
function inReach(address) {
  return [
    h('p', 'Scan this with your phone’s camera. The page it opens becomes your phone here.'),
    h('div.code-box', qrSvg(address, 'Address of the phone’s page')),
    copyable(address, { label: 'address', block: true }),
  ];
}

function outOfReach() {
  const warning = 'Your phone may warn of the certificate: it is one that Nodkey made for itself.';
  return [
    h(
      'p',
      'Your phone cannot reach this page yet: its address is this very machine’s own. Start Nodkey so that it can:',
    ),
    copyable(REACHABLE, { label: 'command', block: true }),
    h('p', 'Then open the page at that address, and come back here for its code. ', warning),
  ];
}

/** @param {string} gateway */
function isLocal(gateway) {
  const { hostname } = new URL(gateway);
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}
