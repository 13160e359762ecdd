/** What axe finds, and what does not fit. */

import { AxeBuilder } from '@axe-core/playwright';
import { expect } from '@playwright/test';

/** The rules that look at colours: the others find the same in every scheme. */
const COLOURS = ['color-contrast', 'link-in-text-block'];

/**
 * Holds a view to what every one of them is held to, in light and in dark: axe finds nothing, and nothing is wider than the page.
 * Needs a context that bypasses the pages' policy, and where nothing moves.
 * @param {import('@playwright/test').Page} page
 * @param {string} view what it is called in failures
 */
export async function expectAccessible(page, view) {
  // Three times as fast as with its frames: the phone is looked at as a page of its own.
  const axe = () => new AxeBuilder({ page }).setLegacyMode();
  await show(page, 'light');
  expect.soft(await found(axe()), `${view}, light`).toEqual([]);
  await show(page, 'dark');
  expect.soft(await found(axe().withRules(COLOURS)), `${view}, dark`).toEqual([]);
  const isTooWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  expect.soft(isTooWide, `${view} is wider than the page`).toBe(false);
}

/** @param {AxeBuilder} axe */
async function found(axe) {
  const { violations } = await axe.analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}

/**
 * Shows a page in light or in dark, at once: colours may not be looked at on their way.
 * @param {import('@playwright/test').Page} page
 * @param {'light' | 'dark'} colorScheme
 */
async function show(page, colorScheme) {
  await page.evaluate(() => {
    const still = new CSSStyleSheet();
    still.replaceSync('*, *::before, *::after { transition: none !important; }');
    document.adoptedStyleSheets = [still];
  });
  await page.emulateMedia({ colorScheme });
}
