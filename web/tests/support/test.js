import { test as base } from '@playwright/test';

import { start } from './server.js';

/**
 * @typedef {import('@playwright/test').PlaywrightTestArgs & import('@playwright/test').PlaywrightTestOptions} PerTest
 * @typedef {import('@playwright/test').PlaywrightWorkerArgs & import('@playwright/test').PlaywrightWorkerOptions} PerWorker
 * @typedef {{elsewhere: import('@playwright/test').Page}} OursPerTest
 * @typedef {{server: import('./server.js').Server}} OursPerWorker
 */

/** JSDoc cannot name what `extend` adds; this does. */
const typed = /** @type {import('@playwright/test').TestType<PerTest & OursPerTest, PerWorker & OursPerWorker>} */ (
  /** @type {unknown} */ (base)
);

/** An answer that refuses is told as an error, too; what the page makes of it is for the test to see. */
const REFUSAL = 'Failed to load resource';

/**
 * Notes what the pages of a context complain of. The function that is returned throws it.
 *
 * @param {import('@playwright/test').BrowserContext} context
 */
export function listen(context) {
  /** @type {string[]} */
  const complaints = [];
  context.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith(REFUSAL)) complaints.push(message.text());
  });
  context.on('weberror', (failure) => complaints.push(String(failure.error())));
  return () => {
    if (complaints.length) throw new Error(`a page complained:\n${complaints.join('\n')}`);
  };
}

/**
 * Tests with a server of their worker's own, and pages that may not complain: an error of a script or of the policy fails the test.
 * `elsewhere` is a page in a browser that shares nothing with that of `page`.
 */
export const test = typed.extend({
  server: [
    async ({}, use) => {
      const server = await start();
      await use(server);
      await server.stop();
    },
    { scope: 'worker' },
  ],
  context: async ({ context }, use) => {
    const assertCalm = listen(context);
    await use(context);
    assertCalm();
  },
  elsewhere: async ({ browser }, use) => {
    // Neither who is signed in in the other one.
    const context = await browser.newContext({ storageState: undefined });
    const assertCalm = listen(context);
    await use(await context.newPage());
    await context.close();
    assertCalm();
  },
});

export { expect } from '@playwright/test';
