/** A relying party's own page, of another origin than the gateway. */

import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

/** Serves one page with a policy of its own, and keeps what its form posts. */
export class Shop {
  /** @type {URLSearchParams[]} */
  posts = [];
  #page = { html: '', policy: '' };
  #http = createServer(async (request, response) => {
    if (request.method === 'POST') {
      this.posts.push(new URLSearchParams(await text(request)));
      return void response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Welcome</title>');
    }
    const { html, policy } = this.#page;
    const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy };
    response.writeHead(request.url === '/' ? 200 : 204, headers).end(html);
  });

  /** Starts one on a free port. */
  static async start() {
    const shop = new Shop();
    await new Promise((resolve) => shop.#http.listen(0, '127.0.0.1', () => resolve(null)));
    return shop;
  }

  /** Its origin. By name: `localhost` is another site than `127.0.0.1`. */
  get url() {
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#http.address());
    return `http://localhost:${port}`;
  }

  /**
   * @param {string} html of its page
   * @param {string} policy
   */
  serve(html, policy) {
    this.#page = { html, policy };
  }

  /** Ends it, with what is connected. */
  async stop() {
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }
}

/**
 * The policy of a page that loads the element and lets it call the gateway: as strict as one can be.
 * @param {string} gateway
 */
export function strictPolicy(gateway) {
  return [
    "default-src 'none'",
    `script-src ${gateway}`,
    `connect-src ${gateway}`,
    "form-action 'self'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}
