/** A request: what it asks for, taken only from the signed bytes, and the ways to answer it. */

import { countdown } from '../../lib/countdown.js';
import { h } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';
import { PresenceDenied } from '../errors.js';
import { needsPresence } from '../pending.js';
import { avatar, button, layout, message } from '../screen.js';
import { safeText, safeFields } from '../safe_text.js';
import { explain } from '../words.js';
import { outcome } from './outcome.js';

/** Less than anyone takes to read a request, in milliseconds. */
const HASTE = 500;

/** @typedef {import('../../lib/challenge.js').Challenge} Challenge */
/** @typedef {import('../screen.js').App} App */
/** @typedef {import('../accounts.js').Prompt} Prompt */

/**
 * Shows the request, and sends the person's answer.
 * @param {App} app
 * @param {Prompt} request
 * @returns {import('../screen.js').Screen}
 */
export function prompt(app, request) {
  const { entry, pending } = request;
  const { challenge } = pending;
  let isAnswering = false;

  /**
   * @param {import('../../lib/challenge.js').Decision} decision
   * @param {Parameters<import('../accounts.js').Accounts['respond']>[2]} [more]
   */
  const answer = async (decision, more) => {
    if (isAnswering) return;
    isAnswering = true;
    element.classList.add('busy');
    element.ariaBusy = 'true';
    try {
      app.show(outcome(app, challenge, await app.accounts.respond(request, decision, more), more));
    } catch (cause) {
      // The person left while they were to confirm their presence.
      if (cause instanceof DOMException && cause.name === 'AbortError') return;
      app.show(cause instanceof PresenceDenied ? prompt(app, request) : failed(app, request, cause));
    }
  };
  const end = challenge.exp * 1000;
  const now = () => entry.phone.now();
  const clock = countdown({
    start: challenge.iat * 1000,
    end,
    now,
    onOver: () => {
      if (isAnswering) return;
      entry.pending.delete(pending.id);
      app.show(tooLate(app));
    },
  });
  const chooser = number(challenge, (chosen) => answer('accept', { number: chosen }));
  const buttons = h(
    'div.stack.tight',
    h(
      'div.decide',
      button('large', [icon('close', 18), 'Reject'], () => answer('reject')),
      !challenge.match && button('large primary', [icon('check', 18), 'Accept'], () => answer('accept')),
    ),
    button('quiet danger', 'I did not start this', () => answer('reject', { why: 'not_me' })),
  );
  const element = layout({
    kind: 'prompt',
    lead: h(
      'div.requester',
      avatar(challenge.rp.name),
      h('span.grow.safe-text', 'Request from ', safeText(challenge.rp.name)),
      clock.element,
    ),
    title: safeText(challenge.act),
    body: [details(pending, entry.account.user), chooser],
    actions: buttons,
  });
  holdBack(chooser, buttons);
  return {
    element,
    leave: clock.stop,
    update: () => {
      if (isAnswering || entry.pending.has(pending.id)) return;
      if (app.accounts.prompts.length) app.next();
      // The gateway may notice before the countdown does.
      else app.show(now() < end ? closed(app) : tooLate(app));
    },
  };
}

/**
 * A request may replace another one under a finger that was about to answer it, so answers are disabled for a moment.
 * @param {...(HTMLElement | null)} controls
 */
function holdBack(...controls) {
  const set = (/** @type {boolean} */ inert) => controls.forEach((control) => control && (control.inert = inert));
  set(true);
  setTimeout(() => {
    set(false);
    // A number can be typed immediately. In a frame, focus stays with the surrounding page until the person enters the frame.
    if (document.hasFocus())
      controls
        .map((control) => control?.querySelector('input'))
        .find(Boolean)
        ?.focus();
  }, HASTE);
}

/**
 * @param {import('../protocol.js').Pending} pending
 * @param {string} user
 */
function details({ challenge, fields }, user) {
  const { res, lvl, document, from } = challenge;
  const { browser, place, address } = from ?? {};
  const origin = [browser, place, address].filter(Boolean).join(', ');
  return [
    h('p.resource', safeText(res)),
    fields.length > 0 && h('div.card', safeFields(fields)),
    h(
      'ul.notes',
      note('user', 'For your account ', safeText(user)),
      origin && note('globe', 'From ', safeText(origin)),
      needsPresence(challenge) && note('finger', 'You will confirm that it is you (level 2).'),
      (document || lvl === 3) && note('info', 'An identity document is required, too (level 3). This phone has none.'),
    ),
  ];
}

/**
 * @param {import('../../lib/icons.js').IconName} name
 * @param {...import('../../lib/dom.js').Child} text
 */
function note(name, ...text) {
  return h('li', icon(name), h('span', text));
}

/**
 * @param {Challenge} challenge
 * @param {(number: string) => void} choose
 */
function number({ match }, choose) {
  if (match?.mode === 'choose') {
    return h(
      'fieldset.stack',
      h('legend', 'To accept, choose the number that the page shows'),
      h(
        'div.choices',
        match.choices.map((choice) => button('large', h('span.digits', safeText(choice)), () => choose(choice))),
      ),
    );
  }
  if (match?.mode === 'enter') {
    const count = match.digits ?? 2;
    const label = `To accept, enter the ${count === 2 ? 'two' : count} digits that the page shows`;
    return digits({ label, submit: 'Accept', enter: choose, count });
  }
  return null;
}

/**
 * A form to enter digits.
 * @param {object} form
 * @param {string} form.label
 * @param {string} form.submit
 * @param {(number: string) => void} form.enter
 * @param {number} [form.count] how many
 */
export function digits({ label, submit, enter, count = 2 }) {
  const input = h('input.digits', {
    id: 'digits',
    name: 'number',
    inputmode: 'numeric',
    autocomplete: 'off',
    pattern: `\\d{${count}}`,
    maxlength: count,
    required: true,
  });
  const onsubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    enter(input.value);
  };
  return h(
    'form.enter',
    { onsubmit },
    h('label', { for: 'digits' }, label),
    h('div.row', input, h('button.button.large.primary', { type: 'submit' }, submit)),
  );
}

/**
 * @param {App} app
 * @param {Prompt} request
 * @param {unknown} cause
 */
export function failed(app, request, cause) {
  const isOpen = request.entry.pending.has(request.pending.id);
  return message({
    icon: 'alert',
    tone: 'bad',
    title: 'Not answered',
    body: h('p', explain(cause)),
    actions: [
      isOpen && button('primary large', 'Try again', () => app.show(prompt(app, request))),
      button('large', 'Close', () => app.next()),
    ],
  });
}

/**
 * A message that the next request may replace.
 * @param {Parameters<typeof message>[0]} parts
 */
function idle(parts) {
  return { ...message(parts), isIdle: true };
}

/** @param {App} app */
function tooLate(app) {
  return idle({
    icon: 'clock',
    title: 'Time ran out',
    body: h('p', 'The request was not answered. If you still want this, start again on the page.'),
    actions: button('primary large', 'OK', () => app.next()),
  });
}

/** @param {App} app */
function closed(app) {
  return idle({
    icon: 'info',
    title: 'No longer pending',
    body: h('p', 'The request was canceled, or answered on another phone.'),
    actions: button('primary large', 'OK', () => app.next()),
  });
}
