/** Where operators are signed in: their own sessions, and for owners those of others. */
import { h, replace } from '../../lib/dom.js';
import { time } from '../../lib/format.js';
import { address } from '../router.js';
import { change } from '../ui/dialogs.js';
import { button, foreign, heading, none } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { empty } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {{ id: string, operatorId: string, createdAt: string, seenAt: string, expiresAt: string, clientAddress?: string, userAgent?: string, current?: boolean }} Session */

const SERVICE = 'registry.v1.OperatorSessionService';

/** By what clients are told apart, the first that fits. */
const CLIENTS = /** @type {[RegExp, string][]} */ ([
  [/^nodkey\//, 'Command line'],
  [/Edg\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\//, 'Firefox'],
  [/Chrome\//, 'Chrome'],
  [/Safari\//, 'Safari'],
]);
const SYSTEMS = /** @type {[RegExp, string][]} */ ([
  [/Android/, 'Android'],
  [/iPhone|iPad/, 'iOS'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/Linux/, 'Linux'],
]);

/**
 * Says what a client is, as far as it can be told from what it says.
 * @param {string} agent
 */
function client(agent) {
  const find = (/** @type {[RegExp, string][]} */ known) => known.find(([pattern]) => pattern.test(agent))?.[1];
  return [find(CLIENTS), find(SYSTEMS)].filter(Boolean).join(' on ') || agent;
}

/**
 * Shows the view.
 * @param {Page} page
 */
export function show(page) {
  const operatorId = page.value('operator');
  const list = listing(page, {
    caption: 'Sessions',
    columns: columns(page, reload),
    method: `${SERVICE}/ListOperatorSessions`,
    rows: 'sessions',
    message: () => ({ operatorId }),
    empty: empty({ icon: 'user', title: 'No sessions', text: 'Active sessions are listed here.' }),
  });

  /** @returns {Promise<void>} */
  function reload() {
    return list.reload();
  }

  const own = !operatorId || operatorId === page.session.operator.id;
  const lead = own
    ? 'Your sessions in browsers and of nodkey login. End those that you do not recognize.'
    : 'Sessions of this operator in browsers and of nodkey login.';
  const back = own ? undefined : { href: address('operators'), text: 'Operators' };
  replace(page.main, heading(own ? 'Your sessions' : 'Sessions', { lead, back }), list.element);
  void reload();
}

/**
 * @param {Page} page
 * @param {() => Promise<void>} reload
 * @returns {import('../ui/table.js').Column<Session>[]}
 */
function columns(page, reload) {
  return [
    {
      label: 'Client',
      cell: ({ userAgent = '', current }) => [
        userAgent ? h('span', { title: userAgent }, foreign(client(userAgent))) : none(),
        current && h('span.muted', ' (this one)'),
      ],
    },
    { label: 'Address', cell: ({ clientAddress }) => (clientAddress ? foreign(clientAddress) : none()) },
    { label: 'Signed in', cell: ({ createdAt }) => time(createdAt) },
    { label: 'Last used', cell: ({ seenAt }) => time(seenAt) },
    { label: 'Expires', cell: ({ expiresAt }) => time(expiresAt) },
    {
      label: 'Actions',
      actions: true,
      cell: (row) => button('End', () => end(page, row, reload), { look: 'small' }),
    },
  ];
}

/**
 * @param {Page} page
 * @param {Session} session
 * @param {() => Promise<void>} reload
 */
function end(page, { id, current, userAgent = '' }, reload) {
  const text = current ? 'You are signed out of this browser immediately.' : 'The session is revoked immediately.';
  return change(
    {
      title: current ? 'End this session?' : `End the session of ${client(userAgent) || 'an unknown client'}?`,
      body: h('p', text),
      submit: 'End',
      danger: true,
      act: () => page.act(`${SERVICE}/EndOperatorSession`, { id }),
    },
    'Ended',
    reload,
  );
}
