/**
 * Webhooks in Express, and whatever else takes its middleware.
 *
 * @packageDocumentation
 */

import type { IncomingMessage, ServerResponse } from 'node:http';

import { VerificationError } from './verify/error.js';
import { verifyWebhook, type Keys } from './verify/index.js';
import type { WebhookNotice, WebhookResult } from './verify/webhook.js';

/** What webhooks are verified with, and what to do with them. */
export interface WebhookReceiver {
  /** The secret of the endpoint (`whsec_`), or its public key (`whpk_`). */
  readonly key: string;
  /** The keys of the deployment: `nodkey.jwks`. */
  readonly jwks: Keys;
  /** The id of your relying party. */
  readonly relyingParty: string;
  /**
   * How a trusonafication ended, proven by its receipt. The same may come twice: act once for each `receipt.sub`, and on none that you did not
   * create. Be done within 30 seconds. If it throws, the deployment tries again later.
   */
  readonly onResult?: ((result: WebhookResult, request: IncomingMessage) => void | Promise<void>) | undefined;
  /** Something else happened, which nobody proved: a reason to look. Ignore types that you do not know. If it throws, as above. */
  readonly onNotice?: ((notice: WebhookNotice, request: IncomingMessage) => void | Promise<void>) | undefined;
  /** The time, for tests. Default: the system's. */
  readonly now?: (() => Date) | undefined;
}

/** Middleware, without the types of a framework. */
export type Middleware = (
  request: IncomingMessage & { body?: unknown },
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** The largest body that is read, in bytes: 1 MB of custom fields and what is around them. */
const MAX_BODY = 2 << 20;

/**
 * Receives webhooks: `app.post('/webhooks', webhooks({ … }))`, before any `express.json()`, since signatures are over the bytes.
 *
 * Answers 204 once the handler is done; 400 with the reason in JSON for what does not verify, 413 for what is too large. Whatever else fails
 * goes to Express's error handling, and the deployment tries again.
 */
export function webhooks({ key, jwks, relyingParty, onResult, onNotice, now }: WebhookReceiver): Middleware {
  return (request, response, next) => {
    const receive = async () => {
      const body = await bodyOf(request);
      if (body === undefined) {
        refuse(response, 413, 'body_too_large');
        return;
      }
      const webhook = await verifyWebhook({ key, headers: request.headers, body, jwks, relyingParty, now: now?.() });
      if (webhook.kind === 'result') await onResult?.(webhook, request);
      else await onNotice?.(webhook, request);
      response.writeHead(204).end();
    };
    receive().catch((error: unknown) => {
      // A key that cannot be read is a mistake of the receiver.
      if (error instanceof VerificationError && error.reason !== 'invalid_key') refuse(response, 400, error.reason);
      else next(error);
    });
  };
}

function refuse(response: ServerResponse, status: number, error: string): void {
  response
    .writeHead(status, { 'content-type': 'application/json', connection: 'close' })
    .end(JSON.stringify({ error }));
}

/** The body as it arrived. `undefined`: it is too large. */
async function bodyOf(request: IncomingMessage & { body?: unknown }): Promise<Buffer | undefined> {
  if (Buffer.isBuffer(request.body)) return request.body;
  if (request.readableEnded) {
    throw new Error(
      'the body of a webhook was parsed before it could be verified: put `webhooks()` before `express.json()`',
    );
  }
  const chunks: Buffer[] = [];
  let size = 0;
  // Not destroyed where it is too large, so that the sender gets an answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
