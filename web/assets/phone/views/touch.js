/** Confirms the person's presence before the presence key signs: by the device, or by a button that stands in for its sensor. */

import { h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { PresenceDenied } from '../errors.js';
import { verifyUser } from '../presence.js';
import { button, layout, sign } from '../screen.js';
import { safeText } from '../safe_text.js';

/**
 * Resolves when the person has confirmed their presence.
 * @param {import('../screen.js').App} app
 * @param {import('../accounts.js').Entry} entry
 * @param {string} reason shown where no request is being answered
 * @returns {Promise<void>}
 */
export function touch(app, { account, answering }, reason) {
  return new Promise((resolve, reject) => {
    const cancel = button('large', 'Cancel', () => reject(new PresenceDenied()));
    const what = answering
      ? [h('p.lead.act', safeText(answering.challenge.act)), h('p', safeText(answering.challenge.res))]
      : h('p.lead.act', reason);
    app.show({
      element: account.passkey ? byDevice(account.passkey, what, cancel, resolve) : byButton(what, cancel, resolve),
    });
  });
}

/**
 * @param {import('../../lib/dom.js').Child} what
 * @param {HTMLElement} cancel
 * @param {() => void} resolve
 */
function byButton(what, cancel, resolve) {
  const press = () => {
    finger.classList.add('pressed');
    finger.disabled = true;
    resolve();
  };
  const finger = h('button.finger', { type: 'button', onclick: press }, icon('finger', 64), h('span', 'Press here'));
  return layout({
    kind: 'touch',
    title: 'Confirm that it is you',
    body: [
      what,
      finger,
      h(
        'p.small.muted',
        'This button stands in for a fingerprint sensor. It verifies nobody: anyone who can press it can confirm.',
      ),
    ],
    actions: cancel,
  });
}

/**
 * @param {ArrayBuffer} passkey
 * @param {import('../../lib/dom.js').Child} what
 * @param {HTMLElement} cancel
 * @param {() => void} resolve
 */
function byDevice(passkey, what, cancel, resolve) {
  const status = h('p', { role: 'status' });
  const again = button('primary large', 'Try again', () => verify());
  const verify = async () => {
    again.hidden = true;
    status.textContent = 'Your device is asking for your fingerprint, face or PIN.';
    try {
      await verifyUser(passkey);
      status.textContent = 'Thank you.';
      resolve();
    } catch {
      status.textContent = 'Your device did not confirm that it is you.';
      again.hidden = false;
      again.focus();
    }
  };
  void verify();
  return layout({
    kind: 'message',
    lead: sign('finger'),
    title: 'Confirm that it is you',
    body: [what, status],
    actions: [again, cancel],
  });
}
