/** Overview: how the deployment is, and how it went since the page was opened. */
import { h, replace } from '../../lib/dom.js';
import { duration, time } from '../../lib/format.js';
import { icon } from '../../lib/icons.js';
import { deadLetters } from '../metrics/dead_letters.js';
import { health } from '../metrics/health.js';
import { badge } from '../names.js';
import { chart } from '../ui/chart.js';
import { heading, identifier, none } from '../ui/elements.js';
import { failure } from '../ui/states.js';
import { expectedTable, table } from '../ui/table.js';
import { deadLettersCard } from './overview/dead_letters.js';
import { failingNotices, readFailing } from './overview/failing.js';
import { totalsCard } from './overview/totals.js';

/** @typedef {import('../metrics/measure.js').Measurement} Measurement */
/** @typedef {Omit<import('../api.js').Process, 'metrics' | 'dead_letters'>} Process */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 });
const perSecond = (/** @type {number} */ value) => `${precise.format(value)}/s`;
const seconds = (/** @type {number} */ value) => duration(value * 1000);

/** Rates are those of so many measurements, so that few events make no spikes. */
const RATE_SPAN = 4;

/** @typedef {'accepted' | 'rejected' | 'expired' | 'serverErrors' | 'refusals'} Counter */
/** @typedef {'median' | 'slowest' | 'waitingPhones' | 'deliveriesPending' | 'outboxDepth'} Gauge */
/** @typedef {{ name: string, tone: import('../ui/chart.js').Series['tone'], rate?: Counter, value?: Gauge }} Watched */

/** @type {{ title: string, hint: string, format: (value: number) => string, series: Watched[] }[]} */
const CHARTS = [
  {
    title: 'Logins',
    hint: 'Completed trusonafications per second',
    format: perSecond,
    series: [
      { name: 'Accepted', tone: 'ok', rate: 'accepted' },
      { name: 'Rejected', tone: 'bad', rate: 'rejected' },
      { name: 'Expired', tone: 'warn', rate: 'expired' },
    ],
  },
  {
    title: 'Time to answer',
    hint: 'From request to acceptance',
    format: seconds,
    series: [
      { name: 'p50', tone: 'accent', value: 'median' },
      { name: 'p99', tone: 'muted', value: 'slowest' },
    ],
  },
  {
    title: 'Waiting phones',
    hint: 'Phones with an open connection',
    format: whole.format,
    series: [{ name: 'Phones', tone: 'accent', value: 'waitingPhones' }],
  },
  {
    title: 'Deliveries',
    hint: 'Webhooks waiting to be sent',
    format: whole.format,
    series: [{ name: 'Pending', tone: 'accent', value: 'deliveriesPending' }],
  },
  {
    title: 'Outbox',
    hint: 'Events not yet published to the bus',
    format: whole.format,
    series: [{ name: 'Events', tone: 'accent', value: 'outboxDepth' }],
  },
  {
    title: 'HTTP errors',
    hint: 'Refused and failed requests per second',
    format: perSecond,
    series: [
      { name: '5xx', tone: 'bad', rate: 'serverErrors' },
      { name: '4xx', tone: 'muted', rate: 'refusals' },
    ],
  },
];

/** @type {import('../ui/table.js').Column<Process>[]} */
const COLUMNS = [
  { label: 'Services', cell: ({ services }) => services.join(', ') },
  {
    label: 'State',
    cell: ({ ready, problems }) =>
      ready
        ? badge({ text: 'Ready', tone: 'ok', icon: 'check' })
        : h(
            'div.stack.tight',
            badge({ text: 'Not ready', tone: 'bad', icon: 'close' }),
            problems.map((problem) => h('p.small', problem)),
          ),
  },
  { label: 'Process', cell: ({ id }) => identifier(id, 'process') },
  { label: 'Version', cell: ({ version }) => version ?? none() },
  { label: 'Started', cell: ({ started_at }) => (started_at ? time(started_at) : none()) },
];

/**
 * Shows the view.
 * @param {import('../page.js').Page} page
 */
export function show(page) {
  const summary = h('p.row', { role: 'status' });
  const notices = h('div.stack');
  const failing = h('div.stack');
  const givenUp = h('div');
  const processes = h('div', expectedTable('Processes', COLUMNS));
  const charts = CHARTS.map(({ series, ...options }) => ({ series, ...chart({ ...options, series }) }));
  const drawings = h(
    'div.grid.charts',
    charts.map(({ element }) => element),
  );
  replace(
    page.main,
    heading('Overview', { lead: summary }),
    notices,
    failing,
    totalsCard(page),
    h('section', { 'aria-label': 'Charts since this page was opened' }, drawings),
    h('div.card.flush', h('header', h('h2', 'Processes')), processes),
    givenUp,
  );
  const showSummary = unlessSame(summary, verdict);
  const showNotices = unlessSame(notices, ({ problem, unready, found }) => [
    problem && failure(problem, () => health.ask()),
    unready.map(unreadyNotice),
    found.map(notice),
  ]);
  const showProcesses = unlessSame(processes, (rows) => table('Processes', COLUMNS, rows));

  const showGivenUp = unlessSame(givenUp, (letters) => deadLettersCard(page, letters, () => health.ask()));
  const showFailing = unlessSame(failing, failingNotices);
  let countBefore = health.measurements.at(-1)?.endpointsFailing;
  let reading = new AbortController();

  /** Names the endpoints that fail; only the latest reading is shown. */
  async function nameFailing() {
    reading.abort();
    reading = new AbortController();
    const signal = AbortSignal.any([page.signal, reading.signal]);
    const found = await readFailing(signal);
    if (!signal.aborted) showFailing(found);
  }

  function update() {
    const { problem, measurements, alarms: found } = health;
    const rows = health.processes.map(({ metrics: _, dead_letters: __, ...process }) => process);
    showSummary({ rows, problem, alarms: found.length });
    showNotices({ problem, unready: rows.filter(({ ready }) => !ready), found });
    if (rows.length) showProcesses(rows);
    showGivenUp(deadLetters(health.processes));
    for (const { series, update: draw } of charts)
      draw(measurements.map((measurement, i) => point(series, measurement, i)));
    const count = measurements.at(-1)?.endpointsFailing;
    if (countBefore !== undefined && count !== countBefore) void nameFailing();
    countBefore = count;
  }

  update();
  void nameFailing();
  health.addEventListener('change', update, { signal: page.signal });
}

/**
 * Makes a function that shows a state at a place, but for one that is as it was: what is read, copied or has the focus stays.
 * @template T
 * @param {Element} place
 * @param {(state: T) => import('../../lib/dom.js').Child} make
 * @returns {(state: T) => void}
 */
function unlessSame(place, make) {
  let before = '';
  return (state) => {
    const now = JSON.stringify(state);
    if (now === before) return;
    before = now;
    replace(place, make(state));
  };
}

/** @param {{ rows: Process[], problem: unknown, alarms: number }} state */
function verdict({ rows, problem, alarms }) {
  if (problem) return [h('span.dot.bad'), 'The state of the deployment is unknown'];
  if (!rows.length) return [h('span.dot'), 'Checking all processes'];
  const ready = rows.filter((process) => process.ready).length;
  const missing = rows.length - ready;
  const are = missing === 1 ? 'is' : 'are';
  if (missing) return [h('span.dot.bad'), `${missing} of ${rows.length} processes ${are} not ready`];
  const attention = alarms === 1 ? '1 problem needs attention' : `${alarms} problems need attention`;
  if (alarms) return [h('span.dot.warn'), `All processes run, but ${attention}`];
  return [h('span.dot.ok'), ready === 1 ? 'Ready' : `All ${ready} processes are ready`];
}

/** @param {Process} process */
function unreadyNotice({ services, problems }) {
  const title = `${services.join(', ')} ${services.length === 1 ? 'is' : 'are'} not ready`;
  return h(
    'div.notice.bad',
    icon('alert'),
    h('strong', title),
    problems.map((problem) => h('p', problem)),
  );
}

/** @param {import('../metrics/alarms.js').Alarm} alarm */
function notice({ title, text }) {
  return h('div.notice.warn', icon('alert'), h('strong', title), h('p', text));
}

/**
 * @param {Watched[]} series
 * @param {Measurement} now
 * @param {number} i
 */
function point(series, now, i) {
  const before = health.measurements[Math.max(0, i - RATE_SPAN)];
  return {
    at: now.at,
    values: series.map(({ rate, value }) => (rate ? speed(before, now, rate) : value ? now[value] : null)),
  };
}

/**
 * How fast a counter counts; not known when a process has started again since.
 * @param {Measurement} before
 * @param {Measurement} now
 * @param {Counter} counter
 */
function speed(before, now, counter) {
  const increase = now[counter] - before[counter];
  return now.at > before.at && increase >= 0 ? (increase / (now.at - before.at)) * 1000 : null;
}
