import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Lifetime } from '../src/lifetime.js';

const NOW = Date.parse('2026-11-27T12:00:00Z');
const HOUR = 3_600_000;
const DATE = 'Fri, 27 Nov 2026 12:00:00 GMT';

/**
 * Sets this machine's clock and timer for a test.
 * @param {import('node:test').TestContext} t
 * @param {number} time milliseconds
 */
function machine(t, time) {
  const now = { clock: time, timer: 0 };
  t.mock.method(Date, 'now', () => now.clock);
  t.mock.method(performance, 'now', () => now.timer);
  return now;
}

test('a lifetime is counted from the time of the server, whatever the clock of this machine says', (t) => {
  for (const wrong of [-5 * HOUR, 0, 5 * HOUR]) {
    machine(t, NOW + wrong);
    // The server may be up to a second further than its `Date`.
    assert.equal(Lifetime.until(NOW + 50_000, DATE).left, 49_000);
    t.mock.restoreAll();
  }
});

test('without the time of the server the clock of this machine does, within what a gateway can be set to', (t) => {
  machine(t, NOW);
  for (const date of [null, 'yesterday']) assert.equal(Lifetime.until(NOW + 50_000, date).left, 50_000);
  for (const [end, left] of [
    [NOW - HOUR, 10_000],
    [NOW + HOUR, 60_000],
    [NaN, 10_000],
  ]) {
    assert.equal(Lifetime.until(end, null).left, left);
  }
});

test('a lifetime is over when the machine was asleep, and when its clock was set back', (t) => {
  const asleep = machine(t, NOW);
  const first = new Lifetime(50_000);
  asleep.clock += HOUR;
  assert.ok(first.left < 0);
  const setBack = asleep;
  const second = new Lifetime(50_000);
  setBack.clock -= HOUR;
  setBack.timer += 51_000;
  assert.equal(second.left, -1000);
});
