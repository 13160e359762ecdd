/**
 * What the pages cost: `make bench-pages`. A release build, a browser that has seen nothing, medians of several loads; asserts
 * nothing about speed.
 */

import { setTimeout } from 'node:timers/promises';

import { chromium } from '@playwright/test';

import config from '../playwright.config.js';
import { code, openBank } from '../tests/support/acme.js';
import { enter } from '../tests/support/console.js';
import { start } from '../tests/support/server.js';

/** @typedef {import('@playwright/test').Browser} Browser */
/** @typedef {import('@playwright/test').BrowserContextOptions} Options */
/**
 * @typedef {object} Load
 * @property {number} interactive milliseconds from the start of the navigation to the first frame with what the view is for
 * @property {number} bytes transferred, headers included
 * @property {number} requests
 */

const LOADS = 11;
/** Milliseconds in which a new window is done with itself: Chromium fetches and runs pages of its own for it. */
const OPENING = 1500;
/** Milliseconds without an answer after which a page has what it wants. */
const QUIET = 500;
const SIGN_INS = 11;

/** What has to be there, and enabled, before a view can be used. */
const PAGES = [
  { name: 'demo, phone shown beside it', path: '/demo', width: 1440, control: 'form button' },
  { name: 'demo, phone elsewhere', path: '/demo', width: 900, control: 'form button' },
  { name: 'phone', path: '/demo/phone', width: 390, control: 'form button' },
  { name: 'console, signed out', path: '/console', width: 1440, control: 'main button' },
];
const SIGNED_IN = [
  { name: 'console, overview', path: '/console', width: 1440, control: 'nav a' },
  { name: 'console, trusonafications', path: '/console/trusonafications', width: 1440, control: 'main select' },
];

/**
 * Loads a page in a browser that has seen nothing but what `options` brings.
 * @param {Browser} browser
 * @param {string} url
 * @param {string} control
 * @param {Options} options
 * @returns {Promise<Load>}
 */
async function load(browser, url, control, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  const load = { interactive: 0, bytes: 0, requests: 0 };
  let last = performance.now();
  cdp.on('Network.loadingFinished', ({ encodedDataLength }) => {
    load.bytes += encodedDataLength;
    load.requests += 1;
    last = performance.now();
  });
  await page.addInitScript((selector) => {
    const look = () => {
      const found = document.querySelector(`${selector}:not([disabled])`);
      if (found instanceof HTMLElement && found.offsetParent) performance.mark('interactive');
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, control);
  await setTimeout(OPENING);
  await page.goto(url);
  await page.waitForFunction(() => performance.getEntriesByName('interactive').length > 0);
  load.interactive = await page.evaluate(() => performance.getEntriesByName('interactive')[0].startTime);
  // Whatever the first view still fetches counts, too; what it waits for is held, and never ends.
  while (performance.now() - last < QUIET) await setTimeout(QUIET / 5);
  await context.close();
  return load;
}

/** @param {number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** @param {number[]} times in milliseconds */
function summary(times) {
  return `${median(times).toFixed(0)} ms (${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)})`;
}

/**
 * @param {Browser} browser
 * @param {string} base
 * @param {typeof PAGES} pages
 * @param {Options} [options]
 */
async function report(browser, base, pages, options) {
  for (const { name, path, width, control } of pages) {
    const loads = [];
    for (let i = 0; i < LOADS; i += 1) {
      loads.push(await load(browser, base + path, control, { ...options, viewport: { width, height: 900 } }));
    }
    const interactive = loads.map((load) => load.interactive);
    const figures = [
      summary(interactive),
      `${(median(loads.map((load) => load.bytes)) / 1000).toFixed(0)} KB`,
      `${median(loads.map((load) => load.requests))} requests`,
    ];
    console.log(`${name.padEnd(30)} ${figures.join(', ')}`);
  }
}

/**
 * What a browser holds in which the first owner is signed in.
 * @param {Browser} browser
 * @param {import('../tests/support/server.js').Server} server
 */
async function signedIn(browser, server) {
  const context = await browser.newContext();
  await enter(await context.newPage(), server, server.invitation);
  const storageState = await context.storageState();
  await context.close();
  return storageState;
}

/** In each frame: a person who answers at once, with a finger that is as fast as the page lets it be. */
function eager() {
  const wanted = ['Continue', 'Accept', 'Press here'];
  const look = () => {
    for (const button of document.querySelectorAll('button:not([disabled])')) {
      const isReady = button instanceof HTMLElement && button.offsetParent && !button.closest('[inert], .busy');
      if (isReady && wanted.includes(button.innerText.trim())) button.click();
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

/**
 * In the bank's page: scans the code, and tells how many milliseconds later its person is welcome.
 * @returns {Promise<number>}
 */
function scan() {
  const begun = performance.now();
  document.querySelector('nodkey-code')?.shadowRoot?.querySelector('button')?.click();
  return new Promise((resolve) => {
    const look = () => {
      if (document.querySelector('h1')?.textContent?.startsWith('Good ')) resolve(performance.now() - begun);
      else requestAnimationFrame(look);
    };
    look();
  });
}

/**
 * From the scan of the code to the session page. Scan and taps happen in the page, so that what drives the browser costs nothing.
 * @param {Browser} browser
 * @param {import('../tests/support/server.js').Server} server
 */
async function scanToSignedIn(browser, server) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  const { phone } = await openBank(page, server);
  for (const frame of page.frames()) await frame.evaluate(eager);
  const took = [];
  for (let i = 0; i < SIGN_INS; i += 1) {
    await code(page).locator('svg').waitFor();
    took.push(await page.evaluate(scan));
    await phone.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
  }
  console.log(`scan to signed in              ${summary(took)}`);
}

const server = await start();
const browser = await chromium.launch(config.use?.launchOptions);
try {
  await report(browser, server.url, PAGES);
  await report(browser, server.url, SIGNED_IN, { storageState: await signedIn(browser, server) });
  await scanToSignedIn(browser, server);
} finally {
  await browser.close();
  await server.stop();
}
