/** Explains how to use a real phone instead of the one beside the site. */

import { tell } from '../lib/dialog.js';
import { copyable, h } from '../lib/dom.js';
import { qrSvg } from '../lib/qr.js';
import { REACHABLE } from '../lib/reach.js';

/**
 * Shows the explanation in a dialog.
 * @param {string} gateway the deployment's public URL
 * @param {string} path of the phone's page
 */
export async function showRealPhone(gateway, path) {
  await tell({ title: 'Use a real phone', body: isLocal(gateway) ? outOfReach() : inReach(`${gateway}${path}`) });
}

/** @param {string} address */
function inReach(address) {
  return [
    h('p', 'Scan this with your phone’s camera. The page it opens sets up your phone.'),
    h('div.code-box', qrSvg(address, 'Address of the phone’s page')),
    copyable(address, { label: 'address', block: true }),
  ];
}

function outOfReach() {
  const warning = 'Your phone may warn about the certificate, which Nodkey issued to itself.';
  return [
    h(
      'p',
      'Your phone cannot reach this page, because it is served only to this machine. Start Nodkey with a reachable address:',
    ),
    copyable(REACHABLE, { label: 'command', block: true }),
    h('p', 'Then open this page at that address and scan the code shown here. ', warning),
  ];
}

/** @param {string} gateway */
function isLocal(gateway) {
  const { hostname } = new URL(gateway);
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}
