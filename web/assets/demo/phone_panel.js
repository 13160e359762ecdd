/** The phone beside the site, and the ways to use another one. */

import { h, replace } from '../lib/dom.js';
import { handToPhone } from '../lib/handoff.js';
import { icon } from '../lib/icons.js';

/** Path of the phone's page. */
export const PHONE = '/demo/phone';
/** Widths with space for both. Keep in sync with demo.css. */
const WIDE = matchMedia('(width >= 1100px)');

/** Features that the phone in the frame may use. */
const ALLOWED = 'camera; publickey-credentials-create; publickey-credentials-get; clipboard-write';

/** The panel. Its frame is loaded when there is space for it, and then stays. */
export class PhonePanel {
  #panel;
  #toggle;
  /** @type {HTMLIFrameElement | null} */
  #frame = null;
  #gateway;

  /**
   * @param {HTMLElement} panel
   * @param {HTMLElement} actions container of its buttons
   * @param {string} gateway the deployment's public URL
   */
  constructor(panel, actions, gateway) {
    this.#panel = panel;
    this.#gateway = gateway;
    const toggle = () => this.#setOpen(Boolean(panel.hidden));
    this.#toggle = h('button.button.quiet.only-wide', { type: 'button', onclick: toggle });
    const another = { type: 'button', onclick: () => this.#showRealPhone() };
    const here = { href: PHONE, target: '_blank', title: 'Open the phone' };
    replace(
      actions,
      h('a.button.quiet.only-narrow', here, icon('phone'), 'Phone'),
      this.#toggle,
      h('button.button.quiet', another, icon('qr'), h('span.wordy', 'Use a real phone')),
    );
    this.#show(true);
  }

  /** Whether the phone is visible beside the site. */
  get isShown() {
    return WIDE.matches && !this.#panel.hidden;
  }

  /** Shows and focuses the phone; without space for it, opens it in its own tab. */
  open() {
    if (!WIDE.matches) return void window.open(PHONE, '_blank');
    this.#setOpen(true);
    this.#frame?.focus();
  }

  /**
   * Hands a code to the phone in this browser.
   * @param {string} payload
   */
  async hand(payload) {
    if (WIDE.matches) this.#setOpen(true);
    const isTaken = await handToPhone(payload, PHONE);
    if (isTaken && this.isShown) this.#frame?.focus();
  }

  /** Loads the phone once there is space for it. */
  load() {
    WIDE.addEventListener('change', () => this.#setOpen(!this.#panel.hidden));
    this.#setOpen(!this.#panel.hidden);
  }

  /** @param {boolean} isOpen */
  #setOpen(isOpen) {
    this.#show(isOpen);
    if (this.#frame || !this.isShown) return;
    this.#frame = h('iframe', { src: PHONE, title: 'Your phone', allow: ALLOWED });
    replace(this.#panel, h('h2.visually-hidden', 'Your phone'), h('div.handset', this.#frame));
  }

  /** @param {boolean} isOpen */
  #show(isOpen) {
    this.#panel.hidden = !isOpen;
    this.#toggle.ariaExpanded = String(isOpen);
    replace(this.#toggle, icon('phone'), isOpen ? 'Hide the phone' : 'Show the phone');
  }

  async #showRealPhone() {
    const { showRealPhone } = await import('./real_phone.js');
    await showRealPhone(this.#gateway, PHONE);
  }
}
