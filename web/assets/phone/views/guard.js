/** Whether the device's own check of its user is to guard the presence key, while an account is added. */

import { h } from '../../lib/dom.js';
import { canVerifyUser, createPasskey } from '../presence.js';

/** A box to tick, where this device can check its user; what is ticked is done by `passkey`, which the person may refuse. */
export function guardChoice() {
  const box = h('input', { type: 'checkbox', name: 'guard' });
  const label = h('label.check', box, h('span', 'Check my fingerprint, face or PIN before I accept what matters'));
  const element = h('div', { hidden: true }, label);
  void canVerifyUser().then((can) => {
    element.hidden = !can;
    box.checked = can;
  });
  const passkey = async (/** @type {string} */ name) => (box.checked ? createPasskey(name) : undefined);
  return { element, passkey };
}
