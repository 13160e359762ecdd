/** Audit log: what operators changed, or tried to. */
import { copyable, h, replace } from '../../lib/dom.js';
import { tell } from '../../lib/dialog.js';
import { exactly, time } from '../../lib/format.js';
import { badge, roleName } from '../names.js';
import { allRelyingParties, relyingPartyName } from '../relying_parties.js';
import { address } from '../router.js';
import { codeBlock, facts, foreign, heading, identifier, none } from '../ui/elements.js';
import { listing } from '../ui/listing.js';
import { isOldestFirst, ORDER, PERIOD, startOf } from '../ui/period.js';
import { empty, waiting } from '../ui/states.js';

/** @typedef {import('../page.js').Page} Page */
/** @typedef {{ id: string, at: string, operatorId?: string, actor: string, role: string, relyingPartyId?: string, method: string, request: string, outcome?: string, traceId: string }} Entry */

/** @type {[string, string][]} */
const OUTCOMES = [
  ['OUTCOME_FILTER_OK', 'OK'],
  ['OUTCOME_FILTER_READ', 'Read'],
  ['OUTCOME_FILTER_REFUSED', 'Refused or failed'],
  ['OUTCOME_FILTER_UNKNOWN', 'Unknown'],
];

/** @type {import('../ui/table.js').Column<Entry>[]} */
const COLUMNS = [
  {
    label: 'Action',
    cell: (entry) =>
      h('button.row-link', { type: 'button', onclick: () => void detail(entry) }, shortMethod(entry.method)),
    text: ({ method }) => method,
  },
  { label: 'Operator', cell: ({ actor }) => foreign(actor), text: ({ actor }) => actor },
  { label: 'Role', cell: ({ role }) => roleName(role), text: ({ role }) => role },
  {
    label: 'Relying party',
    cell: ({ relyingPartyId }) => (relyingPartyId ? foreign(relyingPartyName(relyingPartyId)) : none()),
    text: ({ relyingPartyId = '' }) => relyingPartyId && relyingPartyName(relyingPartyId),
  },
  { label: 'Outcome', cell: ({ outcome }) => outcomeBadge(outcome), text: ({ outcome = '' }) => outcome },
  { label: 'Time', cell: ({ at }) => time(at), text: ({ at }) => at },
];

/**
 * Shows the view.
 * @param {Page} page
 */
export async function show(page) {
  const place = h('div', waiting(8));
  replace(
    page.main,
    heading('Audit log', {
      lead: 'Actions of operators: changes, reads of personal data, and refused calls. Secrets are not recorded.',
    }),
    place,
  );
  const operators = await operatorsOf(page);
  if (page.signal.aborted) return;
  const list = listing(page, {
    caption: 'Audit log',
    columns: COLUMNS,
    filters: [
      { name: 'relying-party', label: 'Relying party', kind: allRelyingParties().map(({ id, name }) => [id, name]) },
      { name: 'operator', label: 'Operator', kind: operators.map(({ id, name }) => [id, name]) },
      { name: 'method', label: 'Method', kind: 'text', placeholder: 'CreateCredential' },
      { name: 'outcome', label: 'Outcome', kind: OUTCOMES },
      PERIOD,
      { name: 'after', label: 'After', kind: 'time' },
      { name: 'before', label: 'Before', kind: 'time' },
      ORDER,
    ],
    method: 'registry.v1.AuditService/ListAuditEntries',
    rows: 'entries',
    message: () => ({
      relyingPartyId: page.value('relying-party'),
      operatorId: page.value('operator'),
      method: page.value('method'),
      outcome: page.value('outcome'),
      createdAfter: startOf(page.query),
      createdBefore: page.value('before'),
      oldestFirst: isOldestFirst(page.query) || undefined,
    }),
    empty: empty({
      icon: 'scroll',
      title: 'No entries yet',
      text: 'Actions of operators are listed here.',
    }),
  });
  replace(place, list.element);
  void list.reload();
}

/**
 * The operators to filter by; none when they cannot be told, since the log is of use without.
 * @param {Page} page
 * @returns {Promise<{ id: string, name: string }[]>}
 */
async function operatorsOf(page) {
  const answer = await page.read('registry.v1.OperatorService/ListOperators', { pageSize: 500 }).catch(() => ({}));
  return answer.operators ?? [];
}

/** @param {string} method `nodkey.registry.v1.DeviceService/RetireDevice` */
function shortMethod(method) {
  const [, service = '', name = method] = /(\w+)\/(\w+)$/.exec(method) ?? [];
  return [h('code', name), h('div.small.muted', service)];
}

/** @param {string} [outcome] */
function outcomeBadge(outcome) {
  if (!outcome) return badge({ text: 'Unknown', tone: 'warn' });
  if (outcome === 'READ') return badge({ text: 'Read', tone: 'info' });
  return outcome === 'OK' ? badge({ text: 'OK', tone: 'ok' }) : badge({ text: outcome, tone: 'bad' });
}

/** @param {Entry} entry */
function detail(entry) {
  const request = pretty(entry.request);
  return tell({
    title: entry.method.split('/').at(-1) ?? entry.method,
    sheet: true,
    body: [
      facts([
        ['Method', h('code', entry.method)],
        ['Outcome', outcomeBadge(entry.outcome)],
        ['At', exactly(new Date(entry.at))],
        ['By', [foreign(entry.actor), `, ${roleName(entry.role).toLowerCase()}`]],
        !!entry.operatorId && ['Operator', identifier(entry.operatorId, 'operator id')],
        !!entry.relyingPartyId && [
          'Relying party',
          h(
            'a',
            { href: address('settings', { rp: entry.relyingPartyId }) },
            foreign(relyingPartyName(entry.relyingPartyId)),
          ),
        ],
        ['Entry', copyable(entry.id, { label: 'entry id' })],
        ['Trace', copyable(entry.traceId, { label: 'trace id' })],
      ]),
      h('h3', 'Request'),
      codeBlock('Request', request),
    ],
  });
}

/** @param {string} json */
function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
