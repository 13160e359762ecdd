/** What is watched of all processes together. The metrics are described in docs/operations/metrics.md. */

import { deadLetters } from './dead_letters.js';

/** @typedef {import('../api.js').Process} Process */
/** @typedef {ReturnType<typeof measure>} Measurement */

/**
 * Measures a deployment. Counters count from the start of their processes; durations are in seconds; null is not known.
 * @param {Process[]} processes
 * @param {number} at milliseconds
 */
export function measure(processes, at) {
  const samples = processes.flatMap(({ metrics }) => parseMetrics(metrics));
  /** @type {(name: string, wanted?: (labels: Record<string, string>) => boolean) => number[]} */
  const values = (name, wanted = () => true) =>
    samples.filter((sample) => sample.name === name && wanted(sample.labels)).map(({ value }) => value);
  const ended = (/** @type {string} */ status) =>
    sum(values('nodkey_trusonafications_total', (labels) => labels.status === status));
  const accepted = buckets(
    samples.filter(
      ({ name, labels }) => name === 'nodkey_trusonafication_seconds_bucket' && labels.status === 'accepted',
    ),
  );
  return {
    at,
    accepted: ended('accepted') + ended('accepted_at_higher_level') + ended('accepted_at_lower_level'),
    rejected: ended('rejected'),
    expired: ended('expired'),
    median: quantile(accepted, 0.5),
    slowest: quantile(accepted, 0.99),
    waitingPhones: sum(values('nodkey_waiting_phones')),
    // Of the whole queue, the same from each replica.
    deliveriesPending: Math.max(0, ...values('nodkey_deliveries_pending')),
    deliveriesOldest: Math.max(0, ...values('nodkey_deliveries_oldest_pending_seconds')),
    outboxDepth: sum(values('nodkey_outbox_depth')),
    outboxOldest: Math.max(0, ...values('nodkey_outbox_oldest_seconds')),
    endpointsFailing: Math.max(0, ...values('nodkey_endpoints_failing')),
    serverErrors: sum(values('nodkey_http_requests_total', ({ status }) => status.startsWith('5'))),
    refusals: sum(values('nodkey_http_requests_total', ({ status }) => status.startsWith('4'))),
    deadLetters: deadLetters(processes).length,
    pushesRefused: sum(values('nodkey_push_attempts_total', ({ outcome }) => outcome === 'refused')),
    busAway: values('nodkey_bus_connected').includes(0),
    consumersRetrying: Math.max(0, ...values('nodkey_consumer_retrying_seconds')),
    consumersOldest: Math.max(0, ...values('nodkey_consumer_oldest_seconds')),
    unnamedProxy: values('nodkey_unnamed_proxy').includes(1),
    certificateInvalid: values('nodkey_tls_certificate_valid').includes(0),
  };
}

/**
 * The counts of a histogram, of all processes together, by upper bound in ascending order. Each includes those before it.
 * @param {Sample[]} samples
 */
function buckets(samples) {
  const counts = new Map();
  for (const { labels, value } of samples) {
    const bound = labels.le === '+Inf' ? Infinity : Number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort(([a], [b]) => a - b).map(([bound, count]) => ({ bound, count }));
}

/**
 * Estimates a quantile as Prometheus does: evenly within a bucket, and at most the largest bound. Null when nothing was counted.
 * @param {{ bound: number, count: number }[]} buckets
 * @param {number} share
 */
function quantile(buckets, share) {
  const all = buckets.at(-1)?.count ?? 0;
  if (all === 0) return null;
  const found = buckets.findIndex(({ count }) => count >= share * all);
  const below = buckets[found - 1] ?? { bound: 0, count: 0 };
  if (buckets[found].bound === Infinity) return below.bound;
  const within = (share * all - below.count) / (buckets[found].count - below.count);
  return below.bound + (buckets[found].bound - below.bound) * within;
}

/** @param {number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** @typedef {{ name: string, labels: Record<string, string>, value: number }} Sample */

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/**
 * Reads every sample of a text; comments and what is not understood are left out.
 * @param {string} text
 * @returns {Sample[]}
 */
export function parseMetrics(text) {
  return text.split('\n').flatMap((line) => {
    const [, name, labels = '', value] = LINE.exec(line) ?? [];
    if (!name) return [];
    return [
      {
        name,
        labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text])),
        value: Number(value),
      },
    ];
  });
}
