import { test as base } from '@playwright/test';

import { start } from './server.js';

/**
 * @typedef {import('@playwright/test').PlaywrightTestArgs & import('@playwright/test').PlaywrightTestOptions} PerTest
 * @typedef {import('@playwright/test').PlaywrightWorkerArgs & import('@playwright/test').PlaywrightWorkerOptions} PerWorker
 * @typedef {{server: import('./server.js').Server}} Ours
 */

/** JSDoc cannot name what `extend` adds; this does. */
const typed = /** @type {import('@playwright/test').TestType<PerTest, PerWorker & Ours>} */ (
  /** @type {unknown} */ (base)
);

/** An answer that refuses is told as an error, too; what the page makes of it is for the test to see. */
const REFUSAL = 'Failed to load resource';

/**
 * Tests with a server of their worker's own, and pages that may not complain: an error of a script or of the policy fails the test.
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
    /** @type {string[]} */
    const complaints = [];
    context.on('console', (message) => {
      if (message.type() === 'error' && !message.text().startsWith(REFUSAL)) complaints.push(message.text());
    });
    context.on('weberror', (failure) => complaints.push(String(failure.error())));
    await use(context);
    if (complaints.length) throw new Error(`a page complained:\n${complaints.join('\n')}`);
  },
});

export { expect } from '@playwright/test';
