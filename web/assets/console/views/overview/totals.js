/** How many trusonafications the relying party had lately, and how they ended. */
import { h, replace } from '../../../lib/dom.js';
import { exactly } from '../../../lib/format.js';
import { select } from '../../../lib/form.js';
import { chooseRelyingParty, relyingPartyName } from '../../relying_parties.js';
import { rpc } from '../../api.js';
import { chart } from '../../ui/chart.js';
import { facts, foreign } from '../../ui/elements.js';
import { eventually } from '../../ui/states.js';
import { table } from '../../ui/table.js';

/** @typedef {{ start: string, inProgress?: string, accepted?: string, rejected?: string, expired?: string, canceled?: string }} Count */
/** @typedef {{ start: Date, inProgress: number, accepted: number, rejected: number, expired: number, canceled: number }} Step */

const HOUR = 3_600_000;
const whole = new Intl.NumberFormat('en');
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 });

/** What is counted, in which steps of milliseconds. */
const PERIODS = /** @type {Record<string, { text: string, unit: string, step: number, steps: number }>} */ ({
  hours: { text: 'Last 24 hours', unit: 'hour', step: HOUR, steps: 24 },
  days: { text: 'Last 30 days', unit: 'day', step: 24 * HOUR, steps: 30 },
});

/**
 * Shows the totals of the chosen relying party; null when there is none.
 * @param {import('../../page.js').Page} page
 */
export function totalsCard(page) {
  const relyingParty = chooseRelyingParty();
  if (!relyingParty) return null;
  const place = h('div');
  const period = select(
    'period',
    Object.entries(PERIODS).map(([value, { text }]) => [value, text]),
    'hours',
  );
  period.ariaLabel = 'Period';
  let loading = new AbortController();
  const load = () => {
    loading.abort();
    loading = new AbortController();
    const signal = AbortSignal.any([page.signal, loading.signal]);
    return eventually(replace(place), signal, () => count(relyingParty, PERIODS[period.value], signal), 6);
  };
  period.addEventListener('change', () => void load());
  void load();
  const lead = h('p.small.muted', 'Trusonafications of ', foreign(relyingPartyName(relyingParty)));
  return h(
    'section.card',
    { 'aria-label': 'Totals' },
    h('header', h('div.stack.tight', h('h2', 'Totals'), lead), period),
    place,
  );
}

/**
 * @param {string} relyingParty
 * @param {typeof PERIODS[string]} period
 * @param {AbortSignal} signal
 */
async function count(relyingParty, { unit, step, steps }, signal) {
  const message = { createdAfter: begin(step, steps).toISOString(), stepSeconds: step / 1000 };
  const method = 'trusonafication.v1.TrusonaficationService/CountTrusonafications';
  const { counts = [], truncated } = await rpc(method, message, { relyingParty, signal });
  const read = counts.map(read64);
  return content(read, unit, Boolean(truncated));
}

/**
 * When the period begins: at a full hour, or at midnight in UTC, where each day has 24 hours. The last step is the present one.
 * @param {number} step
 * @param {number} steps
 */
function begin(step, steps) {
  const start = new Date();
  if (step === HOUR) start.setMinutes(0, 0, 0);
  else start.setUTCHours(0, 0, 0, 0);
  return new Date(start.getTime() - (steps - 1) * step);
}

/**
 * Proto3 JSON has numbers of 64 bits as texts, and leaves zeros out.
 * @param {Count} count
 * @returns {Step}
 */
function read64({ start, inProgress = '0', accepted = '0', rejected = '0', expired = '0', canceled = '0' }) {
  return {
    start: new Date(start),
    inProgress: Number(inProgress),
    accepted: Number(accepted),
    rejected: Number(rejected),
    expired: Number(expired),
    canceled: Number(canceled),
  };
}

/**
 * @param {Step[]} steps newest first
 * @param {string} unit
 * @param {boolean} truncated
 */
function content(steps, unit, truncated) {
  const sum = (/** @type {(step: Step) => number} */ of) => steps.reduce((total, step) => total + of(step), 0);
  const all = {
    start: new Date(0),
    inProgress: sum(({ inProgress }) => inProgress),
    accepted: sum(({ accepted }) => accepted),
    rejected: sum(({ rejected }) => rejected),
    expired: sum(({ expired }) => expired),
    canceled: sum(({ canceled }) => canceled),
  };
  return h(
    'div.stack',
    truncated && h('p.notice.info', 'Only the newest 100,000 trusonafications are counted.'),
    facts([
      ['Total', whole.format(total(all))],
      ['Accepted', whole.format(all.accepted)],
      ['Rejected', whole.format(all.rejected)],
      ['Expired', whole.format(all.expired)],
      ['Canceled', whole.format(all.canceled)],
      ['In progress', whole.format(all.inProgress)],
      ['Success rate', rate(all)],
    ]),
    drawing(steps, unit),
    h(
      'details',
      h('summary', `By ${unit}`),
      table(`Trusonafications by ${unit}`, columns(unit), steps),
      h('p.small.muted', 'Success rate: accepted, of those that were accepted, rejected or expired.'),
    ),
  );
}

/**
 * @param {Step[]} steps
 * @param {string} unit
 */
function drawing(steps, unit) {
  const { element, update } = chart({
    title: `Per ${unit}`,
    hint: unit === 'day' ? 'By when they were created, in UTC' : 'By when they were created',
    format: whole.format,
    series: [
      { name: 'Accepted', tone: 'ok' },
      { name: 'Rejected', tone: 'bad' },
      { name: 'Expired', tone: 'warn' },
    ],
  });
  const oldest = steps.toReversed();
  update(
    oldest.map(({ start, accepted, rejected, expired }) => ({
      at: start.getTime(),
      values: [accepted, rejected, expired],
    })),
  );
  return element;
}

/**
 * @param {string} unit
 * @returns {import('../../ui/table.js').Column<Step>[]}
 */
function columns(unit) {
  const begins = new Intl.DateTimeFormat(
    undefined,
    unit === 'hour' ? { dateStyle: 'medium', timeStyle: 'short' } : { dateStyle: 'medium', timeZone: 'UTC' },
  );
  return [
    {
      label: unit === 'day' ? 'Day (UTC)' : 'From',
      cell: ({ start }) => h('time', { title: exactly(start) }, begins.format(start)),
    },
    { label: 'Total', end: true, cell: (step) => whole.format(total(step)) },
    { label: 'Accepted', end: true, cell: ({ accepted }) => whole.format(accepted) },
    { label: 'Rejected', end: true, cell: ({ rejected }) => whole.format(rejected) },
    { label: 'Expired', end: true, cell: ({ expired }) => whole.format(expired) },
    { label: 'Success rate', end: true, cell: rate },
  ];
}

/** @param {Step} step */
function total({ inProgress, accepted, rejected, expired, canceled }) {
  return inProgress + accepted + rejected + expired + canceled;
}

/** @param {Step} step */
function rate({ accepted, rejected, expired }) {
  const decided = accepted + rejected + expired;
  return decided ? percent.format(accepted / decided) : '–';
}
