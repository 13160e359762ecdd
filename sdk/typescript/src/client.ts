import { readFileSync } from 'node:fs';

import { Connection } from './connection.js';
import { Credential } from './credential.js';
import { SYSTEM, type Environment } from './environment.js';
import { NodkeyError } from './error.js';
import { Bindings } from './resources/bindings.js';
import { Codes } from './resources/codes.js';
import { Deliveries } from './resources/deliveries.js';
import { Devices } from './resources/devices.js';
import { Documents } from './resources/documents.js';
import { Endpoints } from './resources/endpoints.js';
import { SigningKeys } from './resources/jwks.js';
import { Trusonafications } from './resources/trusonafications.js';
import { Users } from './resources/users.js';

/** What a client is made from. What is not given comes from the environment. */
export interface NodkeyOptions {
  /** The public URL of the deployment, which serves gRPC: `https://auth.example.com`. Default: `NODKEY_URL`. */
  readonly url?: string | undefined;
  /** The token, as it was shown when the server credential was created. Default: `NODKEY_TOKEN`. */
  readonly token?: string | undefined;
  /** The secret that was shown with it. It is never sent. Default: `NODKEY_SECRET`. */
  readonly secret?: string | undefined;
  /** PEM of the only authority to trust for https. Default: the file that `NODKEY_CA_CERTIFICATE` names, otherwise the authorities of Node.js. */
  readonly caCertificate?: string | undefined;
  /** The audience of the deployment, if its operator changed it. Default: `NODKEY_AUDIENCE`, otherwise `nodkey`. */
  readonly audience?: string | undefined;
  /** Time and randomness, for tests. Default: the system's. */
  readonly environment?: Environment | undefined;
}

/**
 * A client of a Nodkey deployment, for a relying party's backend. Make one and keep it: it has one connection, which it opens at the first call
 * and again when it is lost.
 *
 * Every call has a deadline of ten seconds for each of three attempts, signs a new bearer token for each, and is repeated only when the failure
 * passes. Creates carry a request id, so that a repetition has no second effect. Durations are in milliseconds.
 */
export class Nodkey {
  /** Which device is which user's. */
  readonly bindings: Bindings;
  /** Users, by the names that you give them. */
  readonly users: Users;
  /** Requests to people, and how they end. */
  readonly trusonafications: Trusonafications;
  /** Who scanned a secure QR code. */
  readonly codes: Codes;
  /** Devices and their keys. */
  readonly devices: Devices;
  /** Identity documents of users. */
  readonly documents: Documents;
  /** Webhook endpoints. */
  readonly endpoints: Endpoints;
  /** What was sent to them. */
  readonly deliveries: Deliveries;
  /** The public keys of the deployment, for what verifies. */
  readonly jwks: SigningKeys;
  readonly #connection: Connection;

  /**
   * Makes a client. Nothing is sent yet.
   *
   * @throws {@link NodkeyError} `INVALID_URL`, `INVALID_CREDENTIAL`.
   */
  constructor(options: NodkeyOptions = {}) {
    const { NODKEY_URL, NODKEY_TOKEN, NODKEY_SECRET, NODKEY_AUDIENCE, NODKEY_CA_CERTIFICATE } = process.env;
    const { url = NODKEY_URL ?? '', token = NODKEY_TOKEN ?? '', secret = NODKEY_SECRET ?? '' } = options;
    const audience = options.audience ?? NODKEY_AUDIENCE ?? '';
    const credential = new Credential(token, secret, audience === '' ? 'nodkey' : audience);
    const ca =
      options.caCertificate ?? (NODKEY_CA_CERTIFICATE ? readFileSync(NODKEY_CA_CERTIFICATE, 'utf8') : undefined);
    const connection = new Connection(parseUrl(url), ca, credential, options.environment ?? SYSTEM);
    this.#connection = connection;
    this.bindings = new Bindings(connection);
    this.users = new Users(connection);
    this.trusonafications = new Trusonafications(connection);
    this.codes = new Codes(connection);
    this.devices = new Devices(connection);
    this.documents = new Documents(connection);
    this.endpoints = new Endpoints(connection);
    this.deliveries = new Deliveries(connection);
    this.jwks = new SigningKeys(connection);
  }

  /**
   * Closes the connection, for good: what is under way, and every later call, fails with `CANCELLED`. An idle connection does not keep the
   * process alive, so that a script need not close it.
   */
  close(): void {
    this.#connection.close();
  }

  /** As `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
    throw NodkeyError.client(
      'INVALID_URL',
      '`url` (NODKEY_URL) is not an http or https URL, such as https://auth.example.com',
    );
  }
  return url;
}
