/** The parts that every screen of the phone is made of. */

import { h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';

/** @typedef {import('../lib/dom.js').Child} Child */
/**
 * @typedef {object} Screen
 * @property {HTMLElement} element its first heading gets the focus
 * @property {() => void} [update] called when accounts or their requests changed
 * @property {() => void} [leave] called when another screen replaces it
 * @property {boolean} [isIdle] whether a request may replace it
 * @property {boolean} [isSetup] whether it sets up an account, and may hold what the person entered
 * @property {() => void} [codeWaits] called when a code was scanned that needs the account first
 */
/**
 * What screens use of the app.
 * @typedef {object} App
 * @property {import('./accounts.js').Accounts} accounts
 * @property {boolean} isDemo whether people can join the demo site from here
 * @property {(screen: Screen) => void} show
 * @property {(choose: (later: typeof import('./views/later.js')) => Screen) => Promise<void>} open shows a screen whose
 *   code may have to be loaded first
 * @property {() => void} next shows the next request, or the accounts when there is none
 * @property {(text: string) => void} scanned continues with a scanned code
 */

/**
 * Lays out a screen: a bar, a heading, content, and actions that stay in view.
 * @param {object} parts
 * @param {Child} parts.title
 * @param {() => void} [parts.back]
 * @param {Child} [parts.aside] at the end of the bar
 * @param {Child} [parts.lead] above the heading
 * @param {Child} parts.body
 * @param {Child} [parts.actions]
 * @param {string} [parts.kind] a class
 */
export function layout({ title, back, aside, lead, body, actions, kind }) {
  const label = { type: 'button', 'aria-label': 'Back', onclick: back };
  return h(
    'section.screen',
    { class: kind },
    (back || aside) &&
      h('header.bar', back && h('button.button.quiet.icon-only', label, icon('arrowLeft', 18)), h('span.grow'), aside),
    h('div.content', lead, h('h1', { tabindex: -1 }, title), body),
    actions && h('div.action-bar', actions),
  );
}

/**
 * A button.
 * @param {string} look classes
 * @param {Child} label
 * @param {(event: MouseEvent) => unknown} onclick
 */
export function button(look, label, onclick) {
  return h('button.button', { type: 'button', class: look, onclick }, label);
}

/**
 * An icon in a disc.
 * @param {import('../lib/icons.js').IconName} name
 * @param {'ok' | 'bad' | 'warn' | 'info'} [tone]
 */
export function sign(name, tone = 'info') {
  return h('div.sign', { class: tone }, icon(name, 30));
}

/**
 * A screen with a single message.
 * @param {object} message
 * @param {import('../lib/icons.js').IconName} message.icon
 * @param {'ok' | 'bad' | 'warn' | 'info'} [message.tone]
 * @param {Child} message.title
 * @param {Child} message.body
 * @param {Child} message.actions
 * @returns {Screen}
 */
export function message({ icon: name, tone, title, body, actions }) {
  return { element: layout({ kind: 'message', lead: sign(name, tone), title, body, actions }) };
}

/**
 * The first letter of a name, in a disc.
 * @param {string} name
 */
export function avatar(name) {
  return h('span.avatar', { 'aria-hidden': 'true' }, [...name.trim()][0] ?? '?');
}
