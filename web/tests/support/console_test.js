import { confirmOn } from './console.js';
import { Receiver } from './receiver.js';
import { enrol, signIn } from './soft_phone.js';
import { test as base, listen } from './test.js';

/**
 * @typedef {Awaited<ReturnType<import('@playwright/test').BrowserContext['storageState']>>} StorageState
 * @typedef {import('./test.js').PerTest & import('./test.js').OursPerTest & {receiver: Receiver, confirmOnPhone: () => Promise<string>}} PerTest
 * @typedef {import('./test.js').PerWorker & import('./test.js').OursPerWorker & {owner: {state: StorageState, phone: import('../../assets/phone/protocol.js').Phone}}} PerWorker
 */

/** JSDoc cannot name what `extend` adds; this does. */
const typed = /** @type {import('@playwright/test').TestType<PerTest, PerWorker>} */ (/** @type {unknown} */ (base));

/**
 * Tests whose `page` is the console of the first owner, who has signed in by phone.
 * `receiver` is a backend that webhooks can be sent to. `confirmOnPhone` accepts on the owner's phone what `page` asks it to confirm.
 */
export const test = typed.extend({
  owner: [
    async ({ browser, server }, use) => {
      const context = await browser.newContext();
      const assertCalm = listen(context);
      const phone = await enrol(server.url, server.invitation);
      await signIn(await context.newPage(), server, phone);
      const state = await context.storageState();
      await context.close();
      assertCalm();
      await use({ state, phone });
    },
    { scope: 'worker' },
  ],
  storageState: async ({ owner }, use) => use(owner.state),
  confirmOnPhone: async ({ page, owner }, use) => use(() => confirmOn(page, owner.phone)),
  receiver: async ({}, use) => {
    const receiver = await Receiver.start();
    await use(receiver);
    await receiver.stop();
  },
});

export { expect } from '@playwright/test';
