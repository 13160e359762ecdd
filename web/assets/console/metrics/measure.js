/** What is watched of all processes together. The metrics are described in docs/operations.md. */

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
  const answerTime = (/** @type {string} */ quantile) => {
    const wanted = (/** @type {Record<string, string>} */ labels) =>
      labels.status === 'accepted' && labels.quantile === quantile;
    // A summary nobody has been counted in of late has nothing but zeros.
    return Math.max(0, ...values('nodkey_trusonafication_seconds', wanted)) || null;
  };
  return {
    at,
    accepted: ended('accepted') + ended('accepted_at_higher_level') + ended('accepted_at_lower_level'),
    rejected: ended('rejected'),
    expired: ended('expired'),
    median: answerTime('0.5'),
    slowest: answerTime('0.99'),
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
    consumersRetrying: Math.max(0, ...values('nodkey_consumer_retrying')),
    unnamedProxy: values('nodkey_unnamed_proxy').includes(1),
    certificateInvalid: values('nodkey_tls_certificate_valid').includes(0),
  };
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
