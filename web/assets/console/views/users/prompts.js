/** How often others may prompt a user, and where the user said that it was not them. */
import { h } from '../../../lib/dom.js';
import { time } from '../../../lib/format.js';
import { badge } from '../../names.js';
import { change } from '../../ui/dialogs.js';
import { button, facts, foreign } from '../../ui/elements.js';

/** @typedef {import('../../page.js').Page} Page */
/**
 * @typedef {object} Hold
 * @property {string} [context] absent: prompts without a context
 * @property {string} heldAt
 * @property {string} heldUntil
 * @property {string} trusonaficationId
 */
/**
 * @typedef {object} Budget
 * @property {number} [strikes]
 * @property {number} [wrongNumbers]
 * @property {number} [waiting]
 * @property {string} [freeAt] absent: now
 * @property {Hold[]} [holds]
 */

const SERVICE = 'trusonafication.v1.PromptService';

/**
 * Reads a user's budget.
 * @param {Page} page
 * @param {string} user
 * @returns {Promise<Budget>}
 */
export function readBudget(page, user) {
  return page.read(`${SERVICE}/GetPromptBudget`, { userIdentifier: user });
}

/**
 * Shows a user's budget, with what an operator may do about it.
 * @param {Page} page
 * @param {string} user
 * @param {Budget} budget
 * @param {() => Promise<void>} reload
 */
export function promptsCard(page, user, budget, reload) {
  const { strikes = 0, wrongNumbers = 0, waiting = 0, freeAt, holds = [] } = budget;
  const reset = button('End the pause', () => endPause(page, user, reload));
  return h(
    'section.card',
    { 'aria-label': 'Prompts' },
    h(
      'header',
      h(
        'div.stack.tight',
        h('div.row', h('h2', 'Prompts'), freeAt && badge({ text: 'Paused', tone: 'warn' })),
        h(
          'p.small.muted',
          'Limits on prompts sent to a user or device. Requests that the user starts with a QR code are not limited by them.',
        ),
      ),
      page.mayAct && strikes > 0 && reset,
    ),
    facts([
      ['Not accepted, consecutive', String(strikes)],
      ['Wrong numbers', String(wrongNumbers)],
      ['In progress', String(waiting)],
      ['Next prompt', freeAt ? time(freeAt) : 'Now'],
    ]),
    holds.length > 0 && h('h3', 'Reported by the user as not theirs'),
    holds.length > 0 &&
      h(
        'ul.list',
        holds.map((hold) => holdItem(page, user, hold, reload)),
      ),
  );
}

/**
 * @param {Page} page
 * @param {string} user
 * @param {Hold} hold
 * @param {() => Promise<void>} reload
 */
function holdItem(page, user, { context = '', heldAt, heldUntil, trusonaficationId: id }, reload) {
  const act = () => page.act(`${SERVICE}/ReleasePromptHold`, { userIdentifier: user, context });
  const release = () =>
    change(
      {
        title: 'Release this hold?',
        body: h(
          'p',
          'The user can be prompted in this context again. A pause stays in effect. Contact the user first.',
        ),
        submit: 'Release',
        act,
      },
      'Released',
      reload,
    );
  return h(
    'li.list-item',
    h(
      'div.grow.stack.tight',
      context ? foreign(context) : h('span', 'Prompts without a context'),
      h(
        'span.small.muted',
        h('a', { href: page.address('trusonafication', { id }) }, 'Reported'),
        ' ',
        time(heldAt),
        ', held until ',
        time(heldUntil),
      ),
    ),
    page.mayAct && button('Release', release),
  );
}

/**
 * @param {Page} page
 * @param {string} user
 * @param {() => Promise<void>} reload
 */
function endPause(page, user, reload) {
  return change(
    {
      title: 'End the pause?',
      body: h('p', 'Resets the count of prompts that were not accepted: the user can be prompted again immediately.'),
      submit: 'End the pause',
      act: () => page.act(`${SERVICE}/ResetPromptBudget`, { userIdentifier: user }),
    },
    'Ended',
    reload,
  );
}
