/** `<nodkey-code>`: shows secure QR codes until one is scanned. */

import { Gateway } from './gateway.js';
import { offerCodes } from './offer.js';
import { CodeError } from './problem.js';
import { read, servedBy } from './settings.js';
import { sheet } from './style.js';
import { TEXTS } from './texts.js';
import { View } from './view.js';

/** @typedef {import('./gateway.js').Code} Code */
/** @typedef {import('../index.js').NodkeyCodeState} State */
/** @typedef {import('../index.js').NodkeyCodeTexts} Texts */

const SERVER = servedBy(import.meta.url);

/** Where there is no document, as in a server that renders pages, the module can be imported all the same. */
const Base = globalThis.HTMLElement ?? /** @type {typeof HTMLElement} */ (class {});

/** The attributes that say where codes come from. The others say how one is shown. */
const SOURCES = ['gateway', 'relying-party'];

/** Shows secure QR codes until one is scanned. README.md has its attributes, events and parts. */
export class NodkeyCode extends Base {
  static formAssociated = true;
  static observedAttributes = [...SOURCES, 'label', 'link', 'link-target', 'pressable'];

  #internals = this.attachInternals();
  #view = new View(this.attachShadow({ mode: 'open' }));
  /** @type {Partial<Texts>} */
  #texts = {};
  /** @type {State} */
  #state = 'loading';
  /** @type {Code | null} the one that is shown */
  #code = null;
  /** @type {string | null} the error that was reported last, while it lasts */
  #trouble = null;
  /** @type {AbortController | null} while it is part of a page */
  #running = null;

  constructor() {
    super();
    /** @type {ShadowRoot} */ (this.shadowRoot).adoptedStyleSheets = [sheet()];
    // A page may have set it before this script was there.
    if (Object.hasOwn(this, 'texts')) {
      const { texts } = this;
      Reflect.deleteProperty(this, 'texts');
      this.texts = texts;
    }
  }

  /** How it stands. */
  get state() {
    return this.#state;
  }

  /** The form it is in, and gives the id of the scanned code to, under its `name`. */
  get form() {
    return this.#internals.form;
  }

  /** What it says, where that is not as in English. */
  get texts() {
    return this.#texts;
  }

  set texts(texts) {
    this.#texts = texts;
    this.#redraw();
  }

  /** URL of the gateway, without the attribute the one that served this script. */
  get gateway() {
    return this.getAttribute('gateway') ?? SERVER ?? '';
  }

  set gateway(url) {
    this.setAttribute('gateway', url);
  }

  /** UUID of the relying party. */
  get relyingParty() {
    return this.getAttribute('relying-party') ?? '';
  }

  set relyingParty(id) {
    this.setAttribute('relying-party', id);
  }

  /** Forgets the code that was scanned, or the failure, and shows a new code. */
  restart() {
    this.#stop();
    if (!this.isConnected) return;
    this.#running = new AbortController();
    void this.#run(this.#running.signal);
  }

  connectedCallback() {
    this.restart();
  }

  disconnectedCallback() {
    this.#stop();
  }

  formResetCallback() {
    this.restart();
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} now
   */
  attributeChangedCallback(name, before, now) {
    if (before === now || !this.#running) return;
    if (SOURCES.includes(name)) this.restart();
    else this.#redraw();
  }

  #stop() {
    this.#running?.abort();
    this.#running = null;
    this.#code = null;
    this.#trouble = null;
    this.#internals.setFormValue(null);
  }

  /** @param {AbortSignal} signal */
  async #run(signal) {
    this.#become('loading');
    // A page that comes back from the browser's cache has a code that is over.
    addEventListener('pageshow', ({ persisted }) => persisted && this.restart(), { signal });
    try {
      const attributes = { gateway: this.getAttribute('gateway'), relyingParty: this.getAttribute('relying-party') };
      const { gateway, relyingParty } = read(attributes, SERVER, this.baseURI);
      const on = {
        code: (/** @type {Code} */ code) => this.#offer(code, signal),
        trouble: (/** @type {CodeError | null} */ error) => this.#struggle(error),
      };
      const { id } = await offerCodes(new Gateway(gateway, relyingParty, signal), signal, on);
      this.#pair(id);
    } catch (cause) {
      if (signal.aborted) return;
      this.#fail(cause instanceof CodeError ? cause : new CodeError('UNEXPECTED', String(cause), { cause }));
    }
  }

  /**
   * @param {Code} code
   * @param {AbortSignal} signal
   */
  #offer(code, signal) {
    this.#code = code;
    this.#trouble = null;
    this.#become('ready');
    const { id, payload, matchNumber, lifetime } = code;
    this.#dispatch('nodkey-shown', { id, payload, matchNumber });
    const timer = setTimeout(() => this.#code === code && this.#lapse(), lifetime.left);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  /** The code that is shown is over, and there is no next one yet: the page was hidden, or the gateway does not answer. */
  #lapse() {
    this.#code = null;
    this.#become('loading');
  }

  /** @param {CodeError | null} error */
  #struggle(error) {
    if (error && error.code !== this.#trouble) this.#report(error);
    this.#trouble = error?.code ?? null;
    this.#say();
  }

  /** @param {string} id */
  #pair(id) {
    this.#code = null;
    this.#trouble = null;
    this.#become('paired');
    this.#internals.setFormValue(id);
    const isWanted = this.#dispatch('nodkey-paired', { id }, true);
    if (isWanted && this.getAttribute('name')) this.form?.requestSubmit();
  }

  /** @param {CodeError} error */
  #fail(error) {
    this.#code = null;
    this.#trouble = error.code;
    this.#become('failed');
    this.#report(error);
    console.warn(`<nodkey-code>: ${error.message} (${error.code})`);
  }

  /** @param {CodeError} error */
  #report({ code, message, status, retryAfter, isPassing }) {
    this.#dispatch('nodkey-error', { code, message, status, retryAfter, retrying: isPassing });
  }

  /** @param {State} state */
  #become(state) {
    const states = this.#internals.states;
    states.delete(this.#state);
    states.add(state);
    const isNew = state !== this.#state;
    this.#state = state;
    this.#redraw();
    if (isNew) this.#dispatch('nodkey-state', { state });
  }

  #redraw() {
    if (this.#state === 'loading') this.#view.loading();
    else if (this.#code) this.#draw(this.#code);
    else if (this.#state === 'paired') this.#view.paired();
    else this.#view.failed(this.#text(this.#trouble ?? '', 'FAILED'), this.#text('retry'), () => this.restart());
    this.#say();
  }

  /** A failure says itself what it is. */
  #say() {
    if (this.#state === 'failed') this.#view.say('', false);
    else if (this.#trouble) this.#view.say(this.#text(this.#trouble, 'RETRYING'), true);
    else this.#view.say(this.#text(this.#state), this.#state === 'paired');
  }

  /** @param {Code} code */
  #draw({ payload, matchNumber, lifetime }) {
    const link = this.getAttribute('link');
    const target = this.getAttribute('link-target');
    const press = () => void this.#dispatch('nodkey-press', { payload });
    this.#view.code({
      payload,
      lifetime,
      label: this.getAttribute('label') ?? this.#text('label'),
      link: link === null ? null : { text: this.#text('link'), href: link + encodeURIComponent(payload), target },
      digits: matchNumber ? [this.#text('digits'), matchNumber] : null,
      press: this.hasAttribute('pressable') ? press : null,
    });
  }

  /**
   * @param {string} key
   * @param {string} [otherwise] the key of what is said where there is nothing for the first
   * @returns {string}
   */
  #text(key, otherwise = key) {
    const texts = /** @type {Record<string, string | undefined>} */ ({ ...TEXTS, ...this.#texts });
    return texts[key] ?? texts[otherwise] ?? '';
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   * @param {boolean} [cancelable]
   * @returns {boolean} whether nobody prevented what follows
   */
  #dispatch(type, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true, cancelable }));
  }
}
