/** The phone beside the site, and the ways to another one. */

import { h, replace } from '../lib/dom.js';
import { handToPhone } from '../lib/handoff.js';
import { icon } from '../lib/icons.js';

const PHONE = '/demo/phone';
/** From here on there is room for both; demo.css says the same. */
const WIDE = matchMedia('(width >= 1100px)');

/** What the phone in the frame may use. */
const ALLOWED = 'camera; publickey-credentials-create; publickey-credentials-get; clipboard-write';

/** The panel. Its frame is loaded when there is room for it, and stays. */
export class PhonePanel {
  #panel;
  #toggle;
  /** @type {HTMLIFrameElement | null} */
  #frame = null;
  #gateway;

  /**
   * @param {HTMLElement} panel
   * @param {HTMLElement} actions where its buttons go
   * @param {string} gateway the deployment's public URL
   */
  constructor(panel, actions, gateway) {
    this.#panel = panel;
    this.#gateway = gateway;
    const toggle = () => this.#setOpen(Boolean(panel.hidden));
    this.#toggle = h('button.button.quiet.only-wide', { type: 'button', onclick: toggle });
    const another = { type: 'button', onclick: () => this.#tellOfRealPhone() };
    const here = { href: PHONE, target: '_blank', title: 'Open the phone' };
    replace(
      actions,
      h('a.button.quiet.only-narrow', here, icon('phone'), 'Phone'),
      this.#toggle,
      h('button.button.quiet', another, icon('qr'), h('span.wordy', 'Use a real phone')),
    );
    this.#show(true);
  }

  /** Whether the phone is in sight. */
  get isShown() {
    return WIDE.matches && !this.#panel.hidden;
  }

  /** Brings the phone into sight and gives it the focus; where there is no room, opens it in a tab of its own. */
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

  /** Loads the phone once there is room for it. */
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

  async #tellOfRealPhone() {
    const { tellOfRealPhone } = await import('./real_phone.js');
    await tellOfRealPhone(this.#gateway, PHONE);
  }
}
