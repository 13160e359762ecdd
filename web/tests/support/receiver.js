import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

/** @typedef {{path: string, headers: import('node:http').IncomingHttpHeaders, body: string}} Call */
/** @typedef {{status: number, headers?: Record<string, string>, body?: string}} Answer */

/** A backend that webhooks are sent to: answers as it is told to, and keeps what came. */
export class Receiver {
  /** @type {Call[]} */
  calls = [];
  /** @type {Answer} */
  answer = { status: 204 };

  #http = createServer(async (request, response) => {
    const { url: path = '', headers } = request;
    this.calls.push({ path, headers, body: await text(request) });
    const { status, headers: more, body } = this.answer;
    response.writeHead(status, more).end(body);
  });

  /** Starts one on a free port. */
  static async start() {
    const receiver = new Receiver();
    await new Promise((resolve) => receiver.#http.listen(0, '127.0.0.1', () => resolve(null)));
    return receiver;
  }

  /** Where it is called. */
  get url() {
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#http.address());
    return `http://127.0.0.1:${port}/nodkey`;
  }

  /** Ends it, with what is connected. */
  async stop() {
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }
}
