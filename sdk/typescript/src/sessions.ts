import type { ClientHttp2Stream, ClientSessionRequestOptions, OutgoingHttpHeaders } from 'node:http2';

import { Http2SessionManager, type createGrpcTransport, type Http2SessionOptions } from '@connectrpc/connect-node';

type Manager = NonNullable<Parameters<typeof createGrpcTransport>[0]['sessionManager']>;
type SessionOptions = ConstructorParameters<typeof Http2SessionManager>[2];

/**
 * The library's sessions, with a listener for their errors that stays.
 *
 * The library takes its own away when it opens another session or closes; a session that says goodbye at that moment has an error and no
 * listener, which would end the process.
 */
export class Sessions implements Manager {
  readonly authority: string;
  readonly #manager: Http2SessionManager;
  readonly #guarded = new WeakSet();

  constructor(url: URL, pings: Http2SessionOptions, options: SessionOptions) {
    this.#manager = new Http2SessionManager(url, pings, options);
    this.authority = this.#manager.authority;
  }

  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: Omit<ClientSessionRequestOptions, 'signal'>,
  ): Promise<ClientHttp2Stream> {
    const stream = await this.#manager.request(method, path, headers, options);
    const { session } = stream;
    if (session !== undefined && !this.#guarded.has(session)) {
      this.#guarded.add(session);
      // What is under way on it fails with the same error.
      session.on('error', () => undefined);
    }
    return stream;
  }

  notifyResponseByteRead(stream: ClientHttp2Stream): void {
    this.#manager.notifyResponseByteRead(stream);
  }

  /** Closes all of them. */
  abort(): void {
    this.#manager.abort();
  }
}
