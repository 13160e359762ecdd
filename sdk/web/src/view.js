/** What the element shows: a code, that it was scanned, or why there is none. */

import { h, replace, svg } from '../../../web/assets/lib/dom.js';
import { qrSvg } from '../../../web/assets/lib/qr.js';

const CHECK = 'm3 8.5 3.25 3.25L13 5';

/** The parts, and what they show. */
export class View {
  #root;
  #link = h('a', { part: 'link', hidden: true });
  // It gets the focus when what had it is gone.
  #box = h('div', { part: 'box', tabindex: -1 });
  #digits = h('p', { part: 'digits', hidden: true });
  #message = h('p', { part: 'message', role: 'status' });

  /** @param {ShadowRoot} root */
  constructor(root) {
    this.#root = root;
    root.append(this.#link, this.#box, this.#digits, this.#message);
  }

  loading() {
    this.#show([h('div.loading', { part: 'loading' })]);
  }

  /**
   * @param {object} code
   * @param {string} code.payload
   * @param {import('./lifetime.js').Lifetime} code.lifetime
   * @param {string} code.label
   * @param {{text: string, href: string, target: string | null} | null} code.link
   * @param {[text: string, digits: string] | null} code.digits
   * @param {(() => void) | null} code.press what pressing the code does, if anything
   */
  code({ payload, lifetime, label, link, digits, press }) {
    const image = qrSvg(payload, label);
    image.setAttribute('part', 'image');
    const code = press
      ? h('button', { part: 'code', type: 'button', onclick: press }, image)
      : h('div', { part: 'code' }, image);
    const { milliseconds, left } = lifetime;
    const style = { '--lifetime': `${milliseconds}ms`, '--delay': `${left - milliseconds}ms` };
    this.#show([code, h('span', { part: 'remaining', 'aria-hidden': 'true', style })], Boolean(link));
    if (digits) replace(this.#digits, digits[0], ' ', h('strong', digits[1]));
    this.#digits.hidden = !digits;
    if (link) {
      this.#link.href = link.href;
      this.#link.target = link.target ?? '';
      this.#link.textContent = link.text;
    }
  }

  paired() {
    const sign = svg('svg', { class: 'sign', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: CHECK }));
    this.#show([h('div', { part: 'paired' }, sign)]);
  }

  /**
   * @param {string} text
   * @param {string} again what the button says
   * @param {() => void} retry
   */
  failed(text, again, retry) {
    const button = h('button', { part: 'retry', type: 'button', onclick: retry }, again);
    this.#show([h('div', { part: 'failure', role: 'alert' }, h('p', text), button)]);
  }

  /**
   * Says how it stands: to screen readers, and to everybody where what is shown does not say it.
   * @param {string} text
   * @param {boolean} isSeen
   */
  say(text, isSeen) {
    if (this.#message.textContent !== text) this.#message.textContent = text;
    this.#message.classList.toggle('unseen', !isSeen);
  }

  /**
   * @param {HTMLElement[]} content of the box
   * @param {boolean} [withLink]
   */
  #show(content, withLink = false) {
    const focused = this.#root.activeElement;
    this.#digits.hidden = true;
    this.#link.hidden = !withLink;
    const loses = this.#box.contains(focused) || (focused === this.#link && !withLink);
    replace(this.#box, ...content);
    if (!loses) return;
    // The next code takes the focus of the one before.
    const next = /** @type {HTMLElement | null} */ (this.#box.querySelector('button'));
    (next ?? this.#box).focus({ preventScroll: true });
  }
}
