/** The choice, while adding an account, whether the device's user verification guards the presence key. */

import { h } from '../../lib/dom.js';
import { canVerifyUser, createPasskey } from '../presence.js';

/** A checkbox where this device can verify its user. `passkey` creates the passkey if it is ticked; the person may decline. */
export function guardChoice() {
  const box = h('input', { type: 'checkbox', name: 'guard' });
  const label = h('label.check', box, h('span', 'Check my fingerprint, face or PIN before I accept a request'));
  const element = h('div', { hidden: true }, label);
  void canVerifyUser().then((can) => {
    element.hidden = !can;
    box.checked = can;
  });
  const passkey = async (/** @type {string} */ name) => (box.checked ? createPasskey(name) : undefined);
  return { element, passkey };
}
