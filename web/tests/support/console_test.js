import { enter } from './console.js';
import { Receiver } from './receiver.js';
import { test as base, listen } from './test.js';

/**
 * @typedef {Awaited<ReturnType<import('@playwright/test').BrowserContext['storageState']>>} StorageState
 * @typedef {import('./test.js').PerTest & import('./test.js').OursPerTest & {receiver: Receiver}} PerTest
 * @typedef {import('./test.js').PerWorker & import('./test.js').OursPerWorker & {owner: StorageState}} PerWorker
 */

/** JSDoc cannot name what `extend` adds; this does. */
const typed = /** @type {import('@playwright/test').TestType<PerTest, PerWorker>} */ (/** @type {unknown} */ (base));

/**
 * Tests whose `page` is the console of the first owner, who has signed in by phone.
 * `receiver` is a backend that webhooks can be sent to.
 */
export const test = typed.extend({
  owner: [
    async ({ browser, server }, use) => {
      const context = await browser.newContext();
      const assertCalm = listen(context);
      await enter(await context.newPage(), server, server.invitation);
      const state = await context.storageState();
      await context.close();
      assertCalm();
      await use(state);
    },
    { scope: 'worker' },
  ],
  storageState: async ({ owner }, use) => use(owner),
  receiver: async ({}, use) => {
    const receiver = await Receiver.start();
    await use(receiver);
    await receiver.stop();
  },
});

export { expect } from '@playwright/test';
