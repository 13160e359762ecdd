import assert from 'node:assert/strict';
import { test } from 'node:test';

import { latestUnknown } from '../assets/phone/joined.js';

/**
 * @param {number} minute
 * @param {boolean} [isThis]
 */
const activated = (minute, isThis = false) => ({
  activated_at: `2026-01-02T03:0${minute}:00.000001Z`,
  is_this: isThis,
});
/** @param {number} minute */
const at = (minute) => Date.parse(activated(minute).activated_at);

test('a phone that came after this one is news until the person knows of it', () => {
  const devices = [activated(1, true), activated(2), activated(3)];
  assert.equal(latestUnknown(devices), at(3));
  assert.equal(latestUnknown(devices, at(2)), at(3));
  assert.equal(latestUnknown(devices, at(3)), undefined);
});

test('phones of before this one are no news, nor is this one', () => {
  assert.equal(latestUnknown([activated(1), activated(2, true)]), undefined);
  assert.equal(latestUnknown([activated(1, true)]), undefined);
});

test('a gateway that does not say it, or a phone that is not active, has no news', () => {
  assert.equal(latestUnknown([]), undefined);
  assert.equal(latestUnknown([activated(1)]), undefined);
});
