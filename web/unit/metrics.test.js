import assert from 'node:assert/strict';
import { test } from 'node:test';

import { alarms } from '../assets/console/metrics/alarms.js';
import { measure } from '../assets/console/metrics/measure.js';

/**
 * @param {Partial<import('../assets/console/api.js').Process>} known
 * @returns {import('../assets/console/api.js').Process}
 */
const process = (known) => ({
  id: 'one',
  services: [],
  ready: true,
  problems: [],
  metrics: '',
  dead_letters: [],
  ...known,
});
const letter = {
  consumer: 'notification_accepted',
  event_id: '019ab2f4-9000-7a52-9d27-0d2b8a7f4c01',
  subject: 'trusonafication.accepted',
  cause: 'refused: no key',
  given_up_at: '2026-11-26T03:04:01.000Z',
};
/** @param {import('../assets/console/api.js').Process[]} processes */
const titles = (processes) => alarms(measure(processes, 0)).map(({ title }) => title);

test('the time of answers is that of all processes together', () => {
  /** @param {[string, number][]} counts */
  const answered = (...counts) =>
    process({
      metrics: counts
        .map(([le, count]) => `nodkey_trusonafication_seconds_bucket{status="accepted",le="${le}"} ${count}\n`)
        .join(''),
    });
  assert.equal(measure([answered(['1', 0], ['2', 0], ['+Inf', 0])], 0).median, null);
  const fast = answered(['1', 8], ['2', 8], ['+Inf', 8]);
  assert.equal(measure([fast], 0).median, 0.5);
  const both = [fast, answered(['1', 0], ['2', 7], ['+Inf', 8])];
  assert.equal(measure(both, 0).median, 1, 'eight of sixteen took a second at most');
  assert.equal(measure(both, 0).slowest, 2, 'the last took longer than the largest bound');
});

test('dead letters that are kept need attention, each once, and those that are gone do not', () => {
  const replicas = [process({ dead_letters: [letter] }), process({ id: 'two', dead_letters: [letter] })];
  assert.equal(measure(replicas, 0).deadLetters, 1);
  assert.deepEqual(titles(replicas), ['There are dead letters']);
  const metrics = 'nodkey_events_consumed_total{consumer="notification_accepted",outcome="dead"} 1\n';
  assert.deepEqual(titles([process({ metrics })]), []);
});
