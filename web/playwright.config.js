import { defineConfig } from '@playwright/test';

/** As root, and on a machine without a way out: no sandbox, and nothing that calls home. */
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export default defineConfig({
  testDir: 'tests',
  outputDir: '../target/browser/results',
  // A flaky test is a failing test.
  retries: 0,
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  forbidOnly: true,
  reporter: [['list']],
  use: {
    browserName: 'chromium',
    launchOptions: { executablePath: process.env.NODKEY_CHROMIUM ?? '/usr/bin/chromium', args },
    viewport: { width: 1440, height: 900 },
    // The topology of five processes has a certificate of its own.
    ignoreHTTPSErrors: true,
    trace: 'retain-on-failure',
  },
});
