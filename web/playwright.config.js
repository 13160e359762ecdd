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

/** What is about the topology of five processes is there when that is: scripts/up-native says so. */
const elsewhere = process.env.NODKEY_TEST_NATIVE ? [] : ['console-distributed.spec.js'];
/** The shops of examples/ need the SDKs: scripts/test-sdk says which are there. */
if (!process.env.NODKEY_TEST_SHOPS) elsewhere.push('shops.spec.js');
/** Push messages reach a service worker only in the browser as people have it. */
const withPush = 'phone-app.spec.js';
/** Everything else is the same, and faster, in the one without a window. */
const headlessShell = process.env.NODKEY_CHROMIUM ?? '/usr/bin/chromium-headless-shell';

/** @param {string} executablePath */
const browser = (executablePath) => ({ launchOptions: { executablePath, args } });

export default defineConfig({
  testDir: 'tests',
  outputDir: '../target/browser/results',
  // A flaky test is a failing test.
  retries: 0,
  // Each has a server of its own.
  workers: Number(process.env.NODKEY_BROWSERS ?? 1),
  // Long enough for anything on a busy machine; nothing takes that long unless it is broken.
  timeout: 180_000,
  expect: { timeout: 15_000 },
  forbidOnly: true,
  reporter: [['list']],
  projects: [
    { name: 'app', testMatch: withPush, use: browser(process.env.NODKEY_CHROMIUM ?? '/usr/bin/chromium') },
    { name: 'pages', testIgnore: [...elsewhere, withPush], use: browser(headlessShell) },
  ],
  use: {
    browserName: 'chromium',
    viewport: { width: 1440, height: 900 },
    // The topology of five processes has a certificate of its own.
    ignoreHTTPSErrors: true,
    trace: 'retain-on-failure',
    // What goes through a service worker, tests cannot intercept. Those of the app allow it.
    serviceWorkers: 'block',
  },
});
