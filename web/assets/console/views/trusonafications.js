/** Trusonafications: what users were asked and how they answered, live when wanted. */
import { h, replace, toast } from '../../lib/dom.js';
import { duration, time } from '../../lib/format.js';
import { Problem } from '../../lib/problem.js';
import { choices, stateBadge, STATUSES } from '../names.js';
import { foreign, heading, identifier, none } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { isOldestFirst, ORDER, PERIOD, startOf } from '../ui/period.js';
import { empty } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {import('../types.js').Trusonafication} Trusonafication */

const SERVICE = 'trusonafication.v1.TrusonaficationService';

/** @type {import('../ui/filters.js').Filter[]} */
const FILTERS = [
  { name: 'status', label: 'Status', kind: choices(STATUSES) },
  { name: 'user', label: 'User', kind: 'text', placeholder: 'User identifier' },
  { name: 'device', label: 'Device', kind: 'text', placeholder: 'Device identifier' },
  PERIOD,
  { name: 'after', label: 'Created after', kind: 'time' },
  { name: 'before', label: 'Created before', kind: 'time' },
  ORDER,
];

/**
 * Shows the view.
 * @param {Page} page
 */
export function show(page) {
  const list = listing(page, {
    caption: 'Trusonafications',
    columns: columns(page),
    filters: FILTERS,
    method: `${SERVICE}/ListTrusonafications`,
    rows: 'trusonafications',
    message: () => filter(page),
    onFilter: () => live.restart(),
    empty: empty({
      icon: 'shield',
      title: 'No trusonafications yet',
      text: 'Requests that the backend sends to its users are listed here.',
    }),
  });
  const live = liveSwitch(page, list);
  replace(
    page.main,
    heading('Trusonafications', { lead: 'Requests to users, and how they answered.', actions: live.element }),
    list.element,
  );
  void list.reload();
  live.restart();
}

/**
 * @param {Page} page
 * @returns {import('../ui/table.js').Column<Trusonafication>[]}
 */
function columns(page) {
  return [
    {
      label: 'Request',
      cell: ({ id, action, resource }) => [
        h('a.row-link', { href: page.address('trusonafication', { id }) }, foreign(action)),
        h('div.small.muted.regular', foreign(resource)),
      ],
      text: ({ action }) => action,
    },
    {
      label: 'Status',
      cell: ({ status }) => stateBadge(STATUSES, status),
      text: ({ status }) => STATUSES[status]?.text ?? status,
    },
    {
      label: 'User',
      cell: ({ userIdentifier }) =>
        userIdentifier ? h('span.clamp', { title: userIdentifier }, foreign(userIdentifier)) : none(),
      text: ({ userIdentifier = '' }) => userIdentifier,
    },
    {
      label: 'Device',
      minor: true,
      cell: ({ deviceIdentifier }) => (deviceIdentifier ? identifier(deviceIdentifier, 'device identifier') : none()),
      text: ({ deviceIdentifier = '' }) => deviceIdentifier,
    },
    {
      label: 'Level',
      end: true,
      minor: true,
      cell: ({ desiredLevel }) => desiredLevel,
      text: ({ desiredLevel }) => String(desiredLevel),
    },
    {
      label: 'Duration',
      end: true,
      cell: (row) =>
        row.status === 'STATUS_IN_PROGRESS' ? none() : duration(Date.parse(row.updatedAt) - Date.parse(row.createdAt)),
    },
    { label: 'Created', cell: ({ createdAt }) => time(createdAt), text: ({ createdAt }) => createdAt },
  ];
}

/** @param {Page} page */
function filter(page) {
  return {
    ...streamFilter(page),
    createdAfter: startOf(page.query),
    createdBefore: page.value('before'),
    oldestFirst: isOldestFirst(page.query) || undefined,
  };
}

/** @param {Page} page */
function streamFilter(page) {
  return {
    status: page.value('status'),
    userIdentifier: page.value('user'),
    deviceIdentifier: page.value('device'),
  };
}

/**
 * Whether a time is within those that are asked for, which a stream knows nothing of.
 * @param {string} createdAt
 * @param {URLSearchParams} query
 */
function isBetween(createdAt, query) {
  const [after, before] = [startOf(query), query.get('before')].map((given) => Date.parse(given ?? ''));
  const at = Date.parse(createdAt);
  return !(at < after) && !(at > before);
}

/**
 * The switch that keeps the list as it is now. What a filter on the status lets through no more stays until the list is read again.
 * @param {Page} page
 * @param {{ put: (row: Trusonafication) => void, reload: () => Promise<void> }} list
 */
function liveSwitch(page, list) {
  const input = h('input', { type: 'checkbox', role: 'switch', checked: page.query.has('live') });
  const state = h('span.badge', { role: 'status', hidden: true });
  const element = h('div.row', state, h('label.switch', input, 'Live'));
  let following = new AbortController();

  input.addEventListener('change', () => {
    page.setQuery({ live: input.checked ? '1' : null }, history.state);
    restart();
  });

  /** @param {boolean} connected */
  function tell(connected) {
    state.className = connected ? 'badge ok' : 'badge warn';
    replace(state, h('span.dot', { class: connected ? 'live' : '' }), connected ? 'Connected' : 'Connecting');
    state.hidden = false;
  }

  /** @param {boolean} connected */
  function onConnection(connected) {
    tell(connected);
    // What happened while nobody listened.
    if (connected) void list.reload();
  }

  async function run() {
    const signal = AbortSignal.any([page.signal, following.signal]);
    tell(false);
    try {
      const options = { signal, onConnection };
      for await (const row of page.follow(`${SERVICE}/WatchTrusonafications`, streamFilter(page), options)) {
        if (isBetween(row.createdAt, page.query)) list.put(row);
      }
    } catch (cause) {
      if (!(cause instanceof Problem)) throw cause;
      state.hidden = true;
      input.checked = false;
      toast(`The list is no longer live. ${cause.message}`, { tone: 'bad' });
    }
  }

  function restart() {
    following.abort();
    following = new AbortController();
    state.hidden = true;
    if (input.checked) void run();
  }

  return { element, restart };
}
