/** Dialogs: confirmations, small forms, and secrets that are shown once. */
import { h, replace } from './dom.js';
import { clearRefusal, showRefusal } from './form.js';
import { icon } from './icons.js';

/** @typedef {import('./dom.js').Child} Child */

/**
 * Shows a dialog that confirms or fills in an action. If `act` is refused, the dialog shows why and stays open.
 * @template T
 * @param {object} question
 * @param {string} question.title
 * @param {Child} question.body
 * @param {string} question.submit label of the button that acts
 * @param {boolean} [question.danger] whether the action cannot be undone
 * @param {(form: FormData) => Promise<T>} question.act
 * @returns {Promise<{ result: T } | null>} the result of `act`, or null when the person canceled
 */
export function ask({ title, body, submit, danger = false, act }) {
  const refusal = h('div.refusal');
  const button = h('button.button', { class: danger ? 'danger' : 'primary', type: 'submit' }, submit);
  const leave = h('button.button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const form = h(
    'form',
    { novalidate: true },
    heading(title, () => dialog.close()),
    h('div.body', refusal, body),
    h('footer', { role: 'none' }, leave, button),
  );
  const dialog = h('dialog', { 'aria-label': title }, form);
  const control = form.querySelector('.body :is(input:not([type=hidden]), select, textarea)');
  (control instanceof HTMLElement ? control : danger ? leave : button).autofocus = true;
  /** @type {{ result: T } | null} */
  let done = null;

  // Leaving while it acts would lose its result, such as a secret.
  const hold = (/** @type {boolean} */ acting) => {
    button.ariaBusy = acting ? 'true' : null;
    dialog.setAttribute('closedby', acting ? 'none' : 'closerequest');
    for (const exit of form.querySelectorAll('button[type=button]')) exit.toggleAttribute('disabled', acting);
  };

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.ariaBusy === 'true') return;
    hold(true);
    clearRefusal(form, refusal);
    try {
      done = { result: await act(new FormData(form)) };
      dialog.close();
    } catch (cause) {
      showRefusal(form, refusal, cause);
    } finally {
      hold(false);
    }
  });
  dialog.addEventListener('cancel', (event) => {
    if (button.ariaBusy === 'true') event.preventDefault();
  });
  return show(dialog).then(() => done);
}

/**
 * Shows content to read.
 * @param {{ title: string, body: Child, sheet?: boolean }} content `sheet`: full height, at the edge of the window
 * @returns {Promise<void>} resolves when it is closed
 */
export function tell({ title, body, sheet = false }) {
  const dialog = h('dialog', { 'aria-label': title, class: sheet ? 'sheet' : '' });
  dialog.append(
    heading(title, () => dialog.close()),
    h('div.body', body),
  );
  return show(dialog);
}

/**
 * Shows content that is shown only once. It closes only with its button, and its content is removed then.
 * @param {{ title: string, body: Child, done: string }} content `done` is the label of the button
 * @returns {Promise<void>} resolves when it is closed
 */
export function tellOnce({ title, body, done }) {
  const button = h('button.button.primary', { type: 'button', onclick: () => dialog.close() }, done);
  const dialog = h(
    'dialog',
    { 'aria-label': title, closedby: 'none' },
    heading(title),
    h('div.body', body),
    h('footer', { role: 'none' }, button),
  );
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  return show(dialog);
}

/**
 * @param {string} title
 * @param {() => void} [close]
 */
function heading(title, close) {
  const label = { type: 'button', 'aria-label': 'Close', onclick: close };
  // Not a landmark of the page.
  return h(
    'header',
    { role: 'none' },
    h('h2', title),
    close && h('button.button.quiet.icon-only.small', label, icon('close')),
  );
}

/**
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<void>}
 */
function show(dialog) {
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      replace(dialog).remove();
      resolve();
    });
  });
}
