/**
 * Builds pages from script: elements, and what every page does with them. No string ever becomes markup.
 */
import { icon } from './icons.js';

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child The content of an element; null, undefined and false are skipped. */

/**
 * @template {string} S
 * @typedef {S extends `${infer T}.${string}` ? T : S} TagOf The tag of `tag.class.class`.
 */

/**
 * @template {string} S
 * @typedef {TagOf<S> extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[TagOf<S>] : HTMLElement} ElementOf
 */

/**
 * Properties of an element: `on…` are listeners, `class` adds to the selector's classes, `style` sets custom properties and
 * other styles by name, everything else is an attribute. `false`, `null` and `undefined` leave the attribute out, `true` sets it empty.
 * @typedef {Record<string, unknown>} Properties
 */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Makes an HTML element: `h('p.note', { onclick }, 'text', child)`.
 * @template {string} S
 * @param {S} selector `tag.class.class`
 * @param {Properties | Child} [first] properties, or the first child
 * @param {...Child} children
 * @returns {ElementOf<S>}
 */
export function h(selector, first, ...children) {
  const [tag, ...classes] = selector.split('.');
  return /** @type {ElementOf<S>} */ (fill(document.createElement(tag), classes, first, children));
}

/**
 * Makes an SVG element, as `h` makes an HTML one.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Properties} properties
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), [], properties, children);
}

/**
 * Replaces the content of an element.
 * @template {Element | DocumentFragment} E
 * @param {E} parent
 * @param {...Child} children
 * @returns {E}
 */
export function replace(parent, ...children) {
  parent.replaceChildren(...nodes(children));
  return parent;
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {string[]} classes
 * @param {Properties | Child} first
 * @param {Child[]} children
 */
function fill(element, classes, first, children) {
  if (classes.length) element.classList.add(...classes);
  if (isProperties(first)) setProperties(element, first);
  else children.unshift(first);
  element.append(...nodes(children));
  return element;
}

/**
 * @param {Properties | Child} value
 * @returns {value is Properties}
 */
function isProperties(value) {
  return typeof value === 'object' && value !== null && !(value instanceof Node) && !Array.isArray(value);
}

/**
 * @param {Element} element
 * @param {Properties} properties
 */
function setProperties(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === 'class') element.classList.add(...String(value).split(' ').filter(Boolean));
    else if (name === 'style')
      setStyle(/** @type {HTMLElement} */ (element), /** @type {Record<string, string>} */ (value));
    else if (name === 'value' && 'value' in element) element.value = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, string>} styles
 */
function setStyle(element, styles) {
  for (const [name, value] of Object.entries(styles)) element.style.setProperty(name, value);
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodes(children) {
  return children.flatMap((child) => {
    if (child === null || child === undefined || child === false) return [];
    if (Array.isArray(child)) return nodes(child);
    return [child instanceof Node ? child : String(child)];
  });
}

/**
 * Shows a temporary message above everything else, and announces it to screen readers.
 * @param {string} text
 * @param {{ tone?: 'ok' | 'bad' }} [options]
 */
export function toast(text, { tone = 'ok' } = {}) {
  const message = h('p.toast', { class: tone }, icon(tone === 'ok' ? 'check' : 'alert'), text);
  const region = toastRegion();
  region.append(message);
  // Back to the top, above dialogs that have opened since.
  region.hidePopover();
  region.showPopover();
  setTimeout(() => message.remove(), tone === 'ok' ? 3500 : 7000);
}

function toastRegion() {
  const known = document.querySelector('.toasts');
  if (known instanceof HTMLElement) return known;
  const region = h('div.toasts', { popover: 'manual', role: 'status' });
  document.body.append(region);
  region.showPopover();
  return region;
}

/**
 * Creates a button that copies a text.
 * @param {string} text
 * @param {string} label names the text for screen readers: "Copy <label>"
 * @returns {HTMLButtonElement}
 */
export function copyButton(text, label) {
  const button = h('button.copy', { type: 'button', 'aria-label': `Copy ${label}`, title: 'Copy' }, icon('copy'));
  button.addEventListener('click', async (event) => {
    event.stopPropagation();
    try {
      await navigator.clipboard.writeText(text);
      replace(button, icon('check'));
      toast('Copied');
    } catch {
      toast('The browser did not let this be copied. Select it by hand.', { tone: 'bad' });
    }
    setTimeout(() => replace(button, icon('copy')), 1500);
  });
  return button;
}

/**
 * Creates a code with a copy button: on one line, or with `block` in its own box and in full.
 * @param {string} text to copy
 * @param {{ label: string, shown?: string, block?: boolean }} options `label` names it for screen readers; `shown` is displayed instead of the text
 * @returns {HTMLElement}
 */
export function copyable(text, { label, shown = text, block = false }) {
  const code = h('code', { title: shown === text ? null : text }, shown);
  return h('span.copyable', { class: block ? 'block' : '' }, code, copyButton(text, label));
}
