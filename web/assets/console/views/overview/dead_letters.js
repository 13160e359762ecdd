/** The events that consumers gave up. */
import { h } from '../../../lib/dom.js';
import { time } from '../../../lib/format.js';
import { foreign, identifier } from '../../ui/elements.js';
import { table } from '../../ui/table.js';

/** @typedef {import('../../api.js').DeadLetter} DeadLetter */

/** @type {import('../../ui/table.js').Column<DeadLetter>[]} */
const COLUMNS = [
  { label: 'Given up', cell: ({ given_up_at }) => time(given_up_at) },
  { label: 'Consumer', cell: ({ consumer }) => foreign(consumer) },
  { label: 'Event', cell: ({ subject }) => foreign(subject) },
  { label: 'Event id', cell: ({ event_id }) => identifier(event_id, 'event') },
  { label: 'Cause', cell: ({ cause }) => h('p.small.break', foreign(cause)) },
];

/**
 * A card with them; nothing when there are none.
 * @param {DeadLetter[]} letters
 */
export function deadLettersCard(letters) {
  if (!letters.length) return null;
  return h(
    'div.card.flush',
    h('header', h('h2', 'Dead letters'), h('p.small', 'Events that a consumer gave up. Their causes are to be fixed.')),
    table('Dead letters', COLUMNS, letters),
  );
}
