/** The shop of examples/express, as it runs: a browser's calls, a phone in Node.js, and the webhooks of `nodkey dev`. */

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Nodkey } from '../src/index.js';
import { end, start, top, until, type Server } from './support/server.js';

type Json = Record<string, unknown>;

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

describe('the shop in Express', () => {
  let dev: Server;
  let shop: ChildProcess;
  let url: string;
  const processes: ChildProcess[] = [];

  before(async () => {
    dev = await start();
    url = `http://127.0.0.1:${String(await freePort())}`;
    const env = { NODKEY_DEV_JSON: path.join(dev.folder, 'dev.json'), SHOP_URL: url };
    shop = await until(/the shop is at/, ['node', path.join(top, 'examples/express/shop.js')], env);
  });
  after(async () => {
    for (const child of [...processes, shop]) await end(child);
    await dev.stop();
  });

  /** A browser, with its cookie. */
  class Browser {
    cookie = '';

    async fetch(where: string, options: RequestInit = {}): Promise<Response> {
      const headers = { 'content-type': 'application/json', cookie: this.cookie };
      const response = await fetch(`${url}${where}`, { ...options, headers });
      for (const set of response.headers.getSetCookie()) this.cookie = set.split(';')[0] ?? '';
      return response;
    }

    async get(where: string): Promise<Json> {
      return (await (await this.fetch(where)).json()) as Json;
    }

    async post(where: string, body: Json): Promise<{ status: number; body: Json | undefined }> {
      const response = await this.fetch(where, { method: 'POST', body: JSON.stringify(body) });
      return { status: response.status, body: response.status === 204 ? undefined : ((await response.json()) as Json) };
    }

    /** A code that a new phone scanned, which accepts all that follows. */
    async scanned(): Promise<string> {
      const headers = { 'content-type': 'application/json', origin: url };
      const codes = `${dev.url}/api/v2/trucodes`;
      const body = JSON.stringify({ relying_party_id: dev.dev.relying_party_id });
      const made = await fetch(codes, { method: 'POST', headers, body });
      const { id, payload } = (await made.json()) as { id: string; payload: string };
      const env = { NODKEY_DEV_JSON: path.join(dev.folder, 'dev.json') };
      processes.push(
        await until(undefined, ['node', path.join(top, 'docs/protocol/phone.mjs'), payload], env, dev.folder),
      );
      const answer = await fetch(`${codes}/${id}`, { headers });
      assert.equal(((await answer.json()) as Json)['paired'], true);
      return id;
    }

    async orders(): Promise<Json[]> {
      return (await this.get('/me'))['orders'] as Json[];
    }

    /** Asks until the order is like that. A test that waits in vain ends by its time-out. */
    async ordered(what: string, value: unknown): Promise<void> {
      while ((await this.orders())[0]?.[what] !== value) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  it('lets_somebody_sign_up_and_pay', async () => {
    const browser = new Browser();
    assert.match(await (await browser.fetch('/')).text(), /src="shop.js"/);
    assert.deepEqual(await browser.get('/me'), { user: null, orders: [] });
    assert.equal((await browser.post('/pay', { to: 'ACME', amount: '90.00 EUR' })).status, 401);

    const code = await browser.scanned();
    const before = browser.cookie;
    assert.equal((await browser.post('/sign_in/code', { code, new_name: 'ada' })).status, 200);
    assert.deepEqual(await browser.get('/result'), { status: 'ACCEPTED' });
    assert.equal((await browser.get('/me'))['user'], 'ada');
    assert.notEqual(browser.cookie, before, 'who knew the cookie is not signed in');
    assert.deepEqual(await browser.post('/sign_in/code', { code }), { status: 409, body: { reason: 'CODE_USED' } });

    assert.equal((await browser.post('/pay', { to: 'ACME', amount: '90.00 EUR' })).status, 200);
    assert.deepEqual(await browser.get('/result'), { status: 'ACCEPTED' });
    const [order] = await browser.orders();
    assert.deepEqual([order?.['to'], order?.['amount'], order?.['state']], ['ACME', '90.00 EUR', 'paid']);
    await browser.ordered('notified', true);

    assert.equal((await browser.post('/sign_out', {})).status, 204);
    assert.equal((await browser.get('/me'))['user'], null);
    const byName = await browser.post('/sign_in/name', { name: 'ada' });
    assert.match(String(byName.body?.['number']), /^\d{2}(\d{4})?$/);
  });

  it('counts_a_payment_by_its_webhook_when_the_browser_is_gone', { timeout: 60_000 }, async () => {
    const browser = new Browser();
    await browser.post('/sign_in/code', { code: await browser.scanned(), new_name: 'bob' });
    await browser.get('/result');
    await browser.post('/pay', { to: 'ACME', amount: '1.00 EUR' });
    // Nobody asks for the result.
    await browser.ordered('state', 'paid');
  });

  it('gives_nobody_the_name_or_the_answer_of_another', async () => {
    const [owner, other] = [new Browser(), new Browser()];
    await owner.post('/sign_in/code', { code: await owner.scanned(), new_name: 'carol' });
    assert.deepEqual(await other.get('/result'), { reason: 'NOTHING_PENDING' });
    await owner.get('/result');
    const taken = await other.post('/sign_in/code', { code: await other.scanned(), new_name: 'carol' });
    assert.deepEqual(taken, { status: 409, body: { reason: 'NAME_TAKEN' } });
    const stranger = await other.post('/sign_in/code', { code: await other.scanned() });
    assert.deepEqual(stranger, { status: 409, body: { reason: 'DEVICE_HAS_NO_ACTIVE_BINDING' } });
    assert.equal((await other.get('/me'))['user'], null);
    const forged = await other.post('/nodkey', { type: 'trusonafication.accepted' });
    assert.deepEqual(forged, { status: 400, body: { error: 'malformed_timestamp' } });
  });

  it('removes_its_endpoint_when_it_ends', async () => {
    using nodkey = new Nodkey({ url: dev.url, ...dev.dev.server });
    const urls = async () => {
      const found: string[] = [];
      for await (const endpoint of nodkey.endpoints.list()) found.push(endpoint.url);
      return found;
    };
    assert.deepEqual(await urls(), [`${url}/nodkey`]);
    await end(shop);
    assert.deepEqual(await urls(), []);
  });
});
