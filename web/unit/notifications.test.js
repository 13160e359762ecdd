import assert from 'node:assert/strict';
import { test } from 'node:test';

/** @typedef {import('../assets/phone/notifications.js').Account} Account */
/** @typedef {import('../assets/phone/notifications.js').Phone} Phone */

const browser = { permission: 'default' };
Object.assign(globalThis, {
  location: new URL('https://example.com/phone'),
  PushManager: class {},
  Notification: browser,
});
Object.defineProperty(globalThis, 'navigator', { value: { serviceWorker: {} }, configurable: true });

const { notificationState } = await import('../assets/phone/notifications.js');

const phone = /** @type {Phone} */ (
  /** @type {unknown} */ ({ pushOptions: async () => ({ webpush_public_key: 'k' }) })
);

test('notifications are on where the account has them and the browser still allows them', async () => {
  const states = [];
  for (const permission of ['granted', 'default', 'denied'])
    for (const pushEndpoint of ['https://push.example', undefined]) {
      browser.permission = permission;
      states.push(await notificationState(/** @type {Account} */ ({ pushEndpoint }), phone));
    }
  assert.deepEqual(states, ['on', 'off', 'off', 'off', 'blocked', 'blocked']);
});
