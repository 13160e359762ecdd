/** `<nodkey-code>` as people see it: on phones, in the colours and words of its page, and with what assists them. */

import { HANDHELD } from './support/acme.js';
import { expectAccessible } from './support/axe.js';
import {
  CODES,
  heard,
  image,
  open,
  readCode,
  registeredPhone,
  see,
  state,
  status,
  test,
} from './support/nodkey_code.js';
import { expect } from './support/test.js';

test.describe('on a phone', () => {
  const link = 'https://links.example.com/trucode?payload=';

  test('a link opens the app with the code that is shown', async ({ page, server, shop }) => {
    await page.setViewportSize(HANDHELD);
    await open(page, shop, server, { attributes: `link="${link}"` });
    const open_ = page.getByRole('link', { name: 'Open on this phone' });
    await expect(open_).toHaveAttribute('href', link + encodeURIComponent(await readCode(image(page))));
    expect((await open_.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(HANDHELD.width);
  });

  test('and not where somebody scans the screen, or where there is no app', async ({ page, server, shop }) => {
    await open(page, shop, server, { attributes: `link="${link}"` });
    await expect(image(page)).toBeVisible();
    await expect(page.getByRole('link')).toHaveCount(0);
    await page.setViewportSize(HANDHELD);
    await expect(page.getByRole('link')).toHaveCount(1);
    await page.locator('nodkey-code').evaluate((code) => code.removeAttribute('link'));
    await expect(page.getByRole('link')).toHaveCount(0);
  });
});

test.describe('themes', () => {
  test('custom properties, parts and states are the page’s to style', async ({ page, server, shop }) => {
    const style = `
      nodkey-code { --nodkey-code-size: 300px; --nodkey-code-radius: 0px; --nodkey-code-border: rgb(1, 2, 3); --nodkey-code-accent: rgb(4, 5, 6); }
      nodkey-code::part(message) { letter-spacing: 7px; }
      nodkey-code:state(ready) { margin-top: 11px; }`;
    await open(page, shop, server, { style });
    await expect(image(page)).toBeVisible();
    const styles = await page.locator('nodkey-code').evaluate((code) => {
      const part = (/** @type {string} */ name) =>
        getComputedStyle(
          /** @type {Element} */ (/** @type {ShadowRoot} */ (code.shadowRoot).querySelector(`[part=${name}]`)),
        );
      return {
        width: getComputedStyle(code).width,
        margin: getComputedStyle(code).marginTop,
        radius: part('box').borderTopLeftRadius,
        border: part('box').borderTopColor,
        remaining: part('remaining').backgroundColor,
        message: part('message').letterSpacing,
      };
    });
    expect(styles).toEqual({
      width: '300px',
      margin: '11px',
      radius: '0px',
      border: 'rgb(1, 2, 3)',
      remaining: 'rgb(4, 5, 6)',
      message: '7px',
    });
  });

  test('a page says it in its own words, also before the script is there', async ({ page, server, shop }) => {
    await page.route('**/sdk/nodkey-code/*.js', async (route) => {
      await page.evaluate(() => {
        const code = /** @type {any} */ (document.querySelector('nodkey-code'));
        code.texts = { ready: 'Code scannen.', label: 'QR-Code' };
      });
      await route.fallback();
    });
    await open(page, shop, server);
    await expect(status(page)).toHaveText('Code scannen.');
    await expect(page.getByRole('img', { name: 'QR-Code' })).toBeVisible();
  });

  test('digits that the phone asks for are shown beside the code', async ({ page, server, shop }) => {
    await server.admin('relying-parties', 'update', '--match-number', 'true');
    try {
      await open(page, shop, server);
      const [{ matchNumber }] = await expect
        .poll(() => heard(page, 'shown'))
        .toHaveLength(1)
        .then(() => heard(page, 'shown'));
      expect(matchNumber).toMatch(/^\d\d$/);
      await expect(page.getByText(`Your phone asks for ${matchNumber}`)).toBeVisible();
    } finally {
      await server.admin('relying-parties', 'update', '--match-number', 'false');
    }
  });
});

test.describe('for everybody', () => {
  test.use({ contextOptions: { reducedMotion: 'reduce' } });

  test('axe finds nothing in any state, in light and dark, wide and narrow', async ({ page, server, shop }) => {
    const attributes = 'link="https://links.example.com/?payload=" pressable';
    await page.clock.install();
    for (const viewport of [{ width: 1440, height: 900 }, HANDHELD]) {
      await page.setViewportSize(viewport);
      await open(page, shop, server, { attributes });
      await expect(image(page)).toBeVisible();
      await expectAccessible(page, 'ready');
      await see(page, false);
      await page.clock.fastForward(60_000);
      expect(await state(page)).toBe('loading');
      await expectAccessible(page, 'over');
      await page.locator('nodkey-code').evaluate((code) => code.setAttribute('gateway', 'none:'));
      await expect(page.getByRole('alert')).toBeVisible();
      await expectAccessible(page, 'failed');
      await see(page, true);
      await page.locator('nodkey-code').evaluate((code, url) => code.setAttribute('gateway', url), server.url);
      const phone = await registeredPhone(server);
      await phone.pair(await phone.scan(await readCode(image(page))));
      await expect(status(page)).toHaveText('Scanned. Continue on your phone.');
      await expectAccessible(page, 'paired');
    }
  });

  test('screen readers hear what changes once, and nothing of each next code', async ({ page, server, shop }) => {
    await page.clock.install();
    await open(page, shop, server);
    await expect(status(page)).toHaveText('Scan the code with your phone.');
    const changes = page.locator('nodkey-code').evaluateHandle((code) => {
      /** @type {string[]} */
      const said = [];
      const live = /** @type {Element} */ (/** @type {ShadowRoot} */ (code.shadowRoot).querySelector('[role=status]'));
      const observer = new MutationObserver(() => said.push(live.textContent));
      observer.observe(live, { childList: true, characterData: true, subtree: true });
      return said;
    });
    const said = await changes;
    const next = page.waitForResponse(CODES);
    await page.clock.fastForward(41_000);
    await next;
    await expect.poll(async () => (await heard(page, 'shown')).length).toBe(2);
    expect(await said.jsonValue()).toEqual([]);
    const phone = await registeredPhone(server);
    await phone.pair(await phone.scan(await readCode(image(page))));
    await expect(status(page)).toBeVisible();
    await expect.poll(() => said.jsonValue()).toEqual(['Scanned. Continue on your phone.']);
  });

  test('nothing moves where people want nothing to move', async ({ page, server, shop }) => {
    await open(page, shop, server);
    await expect(image(page)).toBeVisible();
    const moving = () =>
      page
        .locator('nodkey-code')
        .evaluate((code) => /** @type {ShadowRoot} */ (code.shadowRoot).getAnimations().length);
    expect(await moving()).toBe(0);
    await page.emulateMedia({ reducedMotion: 'no-preference' });
    expect(await moving()).toBe(1);
  });

  test('a code is black on white in forced colours', async ({ page, server, shop }) => {
    await page.emulateMedia({ forcedColors: 'active', colorScheme: 'dark' });
    await open(page, shop, server);
    const fills = image(page).locator('rect, path');
    await expect(fills).toHaveCount(2);
    expect(await fills.evaluateAll((all) => all.map((of) => getComputedStyle(of).fill))).toEqual([
      'rgb(255, 255, 255)',
      'rgb(0, 0, 0)',
    ]);
  });

  test('the keyboard presses the code, and keeps its place when the next one comes and after a failure', async ({
    page,
    server,
    shop,
  }) => {
    await page.clock.install();
    await open(page, shop, server, { attributes: 'pressable label="Show it to the phone in this browser"' });
    const code = page.getByRole('button', { name: 'Show it to the phone in this browser' });
    await expect(code).toBeVisible();
    await page.keyboard.press('Tab');
    await expect(code).toBeFocused();
    await page.keyboard.press('Enter');
    const [{ payload }] = await heard(page, 'press');
    expect(payload).toBe(await readCode(image(page)));
    const next = page.waitForResponse(CODES);
    await page.clock.fastForward(41_000);
    await next;
    await expect.poll(() => readCode(image(page))).not.toBe(payload);
    await expect(code).toBeFocused();
    await page.locator('nodkey-code').evaluate((of) => of.setAttribute('gateway', 'none:'));
    await expect(page.getByRole('button', { name: 'Try again' })).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('button', { name: 'Try again' })).toBeFocused();
    await page.locator('nodkey-code').evaluate((of, url) => of.setAttribute('gateway', url), server.url);
    await expect(image(page)).toBeVisible();
    expect(await page.evaluate(() => document.activeElement?.localName)).toBe('nodkey-code');
  });
});
