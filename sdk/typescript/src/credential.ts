import { createHmac } from 'node:crypto';

import { NodkeyError } from './error.js';
import { fromBase64url } from './verify/base64.js';
import { isObject } from './verify/json.js';

/** For how many seconds a token is valid. The server accepts 60 at most. */
const LIFETIME = 30;

/** Who calls: signs a new bearer token for each attempt, so that the secret is never sent (docs/protocol/bearer.md). */
export class Credential {
  readonly #id: string;
  readonly #secret: string;
  readonly #audience: string;

  /** Of a token as it was shown when the credential was created, and its secret. */
  constructor(token: string, secret: string, audience: string) {
    const id = idOf(token);
    if (id === undefined) {
      throw NodkeyError.client(
        'INVALID_CREDENTIAL',
        'the token is not a JWT with a `jti`: copy it whole, as it was shown with its secret',
      );
    }
    if (secret === '')
      throw NodkeyError.client('INVALID_CREDENTIAL', 'there is no secret: give `secret`, or set NODKEY_SECRET');
    this.#id = id;
    this.#secret = secret;
    this.#audience = audience;
  }

  /** A token that is valid from now on, in milliseconds since 1970. */
  sign(now: number): string {
    const iat = Math.floor(now / 1000);
    const parts = [
      { alg: 'HS256', kid: this.#id },
      { aud: this.#audience, iat, exp: iat + LIFETIME },
    ];
    const input = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${input}.${createHmac('sha256', this.#secret).update(input).digest('base64url')}`;
  }
}

function idOf(token: string): string | undefined {
  const claims = fromBase64url(token.split('.')[1] ?? '');
  try {
    const read: unknown = JSON.parse(claims?.toString() ?? '');
    return isObject(read) && typeof read['jti'] === 'string' ? read['jti'] : undefined;
  } catch {
    return undefined;
  }
}

/** Who signs a token, and for how long. */
export interface BearerOptions {
  /** The token, as it was shown when the server credential was created. */
  readonly token: string;
  /** The secret that was shown with it. */
  readonly secret: string;
  /** The audience of the deployment. Default: `nodkey`. */
  readonly audience?: string | undefined;
  /** From when on it is valid, for 30 seconds. Default: now. */
  readonly now?: Date | undefined;
}

/**
 * Signs a bearer token, for those that make calls over HTTP themselves: `Authorization: Bearer <token>`. Sign one for each call. `Nodkey` does so
 * itself.
 *
 * @throws {@link NodkeyError} `INVALID_CREDENTIAL`.
 */
export function bearerToken({ token, secret, audience = 'nodkey', now = new Date() }: BearerOptions): string {
  return new Credential(token, secret, audience).sign(now.getTime());
}
