/** The events that consumers gave up: why, and what to do with them. */
import { ask, tell } from '../../../lib/dialog.js';
import { copyable, h, toast } from '../../../lib/dom.js';
import { field } from '../../../lib/form.js';
import { exactly, time } from '../../../lib/format.js';
import { indented } from '../../../lib/json_text.js';
import { plainLines } from '../../../lib/plain.js';
import { Problem } from '../../../lib/problem.js';
import { button, codeBlock, facts, foreign, identifier } from '../../ui/elements.js';
import { rowMenu } from '../../ui/row_menu.js';
import { table } from '../../ui/table.js';

/** @typedef {import('../../api.js').DeadLetter} DeadLetter */
/** @typedef {import('../../page.js').Page} Page */
/** @typedef {{ outcome: string, cause?: string }} Replayed */

const SERVICE = 'status.v1.DeadLetterService';
/** The most that one call takes. */
const MOST = 100;
/** How a replay ends that leaves the letter where it is. */
const STAYS = ['REPLAY_OUTCOME_FAILED', 'REPLAY_OUTCOME_REFUSED'];

/**
 * A card with them; nothing when there are none.
 * @param {Page} page
 * @param {DeadLetter[]} letters newest first
 * @param {() => Promise<void>} reload
 */
export function deadLettersCard(page, letters, reload) {
  if (!letters.length) return null;
  const text = 'Events that a consumer gave up. Fix their causes, then replay them: each event takes effect once.';
  const all = button('Replay all', () => replayAll(page, letters, reload), { icon: 'refresh' });
  return h(
    'div.card.flush',
    h('header', h('div.stack.tight', h('h2', 'Dead letters'), h('p.small', text)), page.mayAct && all),
    table('Dead letters', columns(page, reload), letters),
  );
}

/**
 * @param {Page} page
 * @param {() => Promise<void>} reload
 * @returns {import('../../ui/table.js').Column<DeadLetter>[]}
 */
function columns(page, reload) {
  return [
    { label: 'Given up', cell: ({ given_up_at }) => time(given_up_at) },
    { label: 'Consumer', cell: ({ consumer }) => foreign(consumer) },
    { label: 'Event', cell: ({ subject }) => foreign(subject) },
    { label: 'Event id', cell: ({ event_id }) => identifier(event_id, 'event') },
    { label: 'Cause', cell: ({ cause }) => h('p.small.break', foreign(cause)) },
    {
      label: 'Actions',
      actions: true,
      cell: (letter) =>
        rowMenu(`${letter.consumer} ${letter.event_id}`, [
          { text: 'Show', act: () => show(page, letter) },
          page.mayAct && { text: 'Replay', act: () => replay(page, [letter], reload) },
          page.mayAct && { text: 'Drop', danger: true, act: () => drop(page, letter, reload) },
        ]),
    },
  ];
}

/**
 * The service that has it: the first word of its consumer's name.
 * @param {DeadLetter} letter
 */
function serviceOf({ consumer }) {
  return consumer.split('_')[0];
}

/** @param {DeadLetter} letter */
function nameOf({ consumer, event_id }) {
  return { consumer, eventId: event_id };
}

/**
 * @param {Page} page
 * @param {DeadLetter} letter
 */
async function show(page, letter) {
  const found = await told(page.readAt(serviceOf(letter), `${SERVICE}/GetDeadLetter`, { name: nameOf(letter) }));
  if (!found) return;
  const { headers = {}, payloadJson = '', payloadBytes = '0' } = found;
  const named = Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1));
  const missing =
    payloadBytes === '0'
      ? 'Nothing is kept of an event that its publisher did not sign.'
      : `The event cannot be read: ${payloadBytes} bytes.`;
  await tell({
    title: 'Dead letter',
    sheet: true,
    body: [
      facts([
        ['Consumer', foreign(letter.consumer)],
        ['Given up', exactly(new Date(letter.given_up_at))],
        ['Cause', h('span.break', foreign(letter.cause))],
        ['Event id', copyable(letter.event_id, { label: 'event id' })],
        ['Subject', h('span.break', foreign(letter.subject))],
        ...named.map(([name, value]) => /** @type {[string, Element]} */ ([name, foreign(String(value))])),
      ]),
      payloadJson ? codeBlock('Payload', plainLines(indented(payloadJson))) : h('p.muted.small', missing),
    ],
  });
}

/**
 * @param {Page} page
 * @param {DeadLetter[]} letters
 * @param {() => Promise<void>} reload
 */
function replayAll(page, letters, reload) {
  const some = letters.slice(-MOST);
  return ask({
    title: 'Replay all dead letters?',
    body: h('p', `Each of the ${some.length} events goes to the consumer that gave it up, the oldest first.`),
    submit: 'Replay',
    act: () => replay(page, some, reload),
  });
}

/**
 * Replays some, the oldest first, and says how that went.
 * @param {Page} page
 * @param {DeadLetter[]} letters newest first
 * @param {() => Promise<void>} reload
 */
async function replay(page, letters, reload) {
  const oldest = letters.toReversed();
  /** @type {Replayed[]} */
  const replayed = [];
  for (const service of new Set(oldest.map(serviceOf))) {
    const names = oldest.filter((letter) => serviceOf(letter) === service).map(nameOf);
    const answer = await told(page.actAt(service, `${SERVICE}/ReplayDeadLetters`, { names }));
    if (!answer) break;
    replayed.push(...answer.replayed);
  }
  const staying = replayed.filter(({ outcome }) => STAYS.includes(outcome));
  if (staying.length === 1) toast(`Not replayed: ${staying[0].cause}`, { tone: 'bad' });
  else if (staying.length)
    toast(`${staying.length} of ${replayed.length} failed again or cannot be replayed`, { tone: 'bad' });
  else if (replayed.length) toast(replayed.length === 1 ? 'Replayed' : `Replayed ${replayed.length} events`);
  await reload();
}

/**
 * @param {Page} page
 * @param {DeadLetter} letter
 * @param {() => Promise<void>} reload
 */
async function drop(page, letter, reload) {
  const done = await ask({
    title: 'Drop this dead letter?',
    body: [
      h('p', 'The event will never take effect.'),
      field('Note', h('input', { name: 'note', maxlength: 500, autocomplete: 'off' }), 'Why, for the audit log'),
    ],
    submit: 'Drop',
    danger: true,
    act: (form) =>
      page.actAt(serviceOf(letter), `${SERVICE}/DropDeadLetters`, { names: [nameOf(letter)], note: form.get('note') }),
  });
  if (!done) return;
  toast('Dropped');
  await reload();
}

/**
 * The answer to a call; if it is refused, says why and returns null.
 * @template T
 * @param {Promise<T>} call
 * @returns {Promise<T | null>}
 */
async function told(call) {
  try {
    return await call;
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    toast(cause.message, { tone: 'bad' });
    return null;
  }
}
