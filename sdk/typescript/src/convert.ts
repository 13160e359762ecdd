/** From messages of the contract to the types of this package. */

import { timestampDate, timestampFromDate, type Timestamp } from '@bufbuild/protobuf/wkt';

import { NodkeyError } from './error.js';
import { BindingState, type Binding as BindingMessage } from './gen/nodkey/binding/v1/bindings_pb.js';
import { FrozenBy, type User as UserMessage } from './gen/nodkey/binding/v1/users_pb.js';
import { DeliveryState, type Delivery as DeliveryMessage } from './gen/nodkey/notification/v1/deliveries_pb.js';
import { DisabledReason, type Endpoint as EndpointMessage } from './gen/nodkey/notification/v1/endpoints_pb.js';
import { Platform, PresenceKind, type Device as DeviceMessage } from './gen/nodkey/registry/v1/devices_pb.js';
import {
  DocumentType,
  VerificationStatus,
  type IdentityDocument as IdentityDocumentMessage,
} from './gen/nodkey/registry/v1/identity_documents_pb.js';
import {
  NumberMatch,
  RejectReason,
  Status,
  type Evidence as EvidenceMessage,
  type Trusonafication as TrusonaficationMessage,
} from './gen/nodkey/trusonafication/v1/trusonafications_pb.js';
import type * as types from './types.js';
import type { Level } from './verify/claims.js';
import type { Evidence } from './verify/evidence.js';
import type { Jwk, Jwks } from './verify/jwk.js';
import { isObject } from './verify/json.js';

/** What the server sent cannot be read: it is newer than this package, or something else. */
export function unexpected(what: string, cause?: unknown): NodkeyError {
  return NodkeyError.client('UNEXPECTED_ANSWER', `the server sent ${what}`, { cause });
}

export function trusonafication(message: TrusonaficationMessage): types.Trusonafication {
  const { requestContext, result } = message;
  return {
    id: message.id,
    relyingPartyId: message.relyingPartyId,
    relyingPartyName: message.relyingPartyName,
    status: required(nameOf(Status, message.status)),
    desiredLevel: required(level(message.desiredLevel)),
    action: message.action,
    resource: message.resource,
    userIdentifier: text(message.userIdentifier),
    deviceIdentifier: text(message.deviceIdentifier),
    codeId: text(message.trucodeId),
    prompt: message.prompt,
    userPresence: message.userPresence,
    showIdentityDocument: message.showIdentityDocument,
    customFieldsJson: text(message.customFieldsJson),
    callbackUrl: text(message.callbackUrl),
    numberMatch: nameOf(NumberMatch, message.numberMatch),
    context: text(message.context),
    requestContext: requestContext && {
      address: text(requestContext.address),
      browser: text(requestContext.browser),
      place: text(requestContext.place),
    },
    createdAt: required(date(message.createdAt)),
    updatedAt: required(date(message.updatedAt)),
    expiresAt: required(date(message.expiresAt)),
    result: result && {
      id: result.id,
      accepted: result.accepted,
      acceptedLevel: level(result.acceptedLevel),
      boundUserIdentifier: result.boundUserIdentifier,
      deviceIdentifier: result.deviceIdentifier,
      rejectReason: nameOf(RejectReason, result.rejectReason),
    },
    version: Number(message.version),
  };
}

/** In the form in which evidence is kept. */
export function evidence(message: EvidenceMessage): Evidence {
  const { challenge, response, receipt, keys, keyStatement, keySignatures } = message;
  return {
    challenge,
    response,
    ...(receipt !== '' && { receipt }),
    keys: keys.map(jwk),
    ...(keyStatement !== '' && { key_statement: keyStatement }),
    ...(keySignatures.length > 0 && { key_signatures: keySignatures }),
  };
}

export function binding(message: BindingMessage): types.Binding {
  const { id, relyingPartyId, userIdentifier, deviceIdentifier, userFrozen } = message;
  return {
    id,
    relyingPartyId,
    userIdentifier,
    deviceIdentifier,
    state: required(nameOf(BindingState, message.state)),
    createdAt: required(date(message.createdAt)),
    activatedAt: date(message.activatedAt),
    deactivatedAt: date(message.deactivatedAt),
    userFrozen,
    vouchedBy: text(message.vouchedBy),
  };
}

export function user({ userIdentifier, devices, freeze }: UserMessage): types.User {
  return {
    userIdentifier,
    devices,
    freeze: freeze && {
      frozenAt: required(date(freeze.frozenAt)),
      frozenBy: required(nameOf(FrozenBy, freeze.frozenBy)),
      frozenByDevice: text(freeze.frozenByDevice),
      note: text(freeze.note),
    },
  };
}

export function device(message: DeviceMessage): types.Device {
  const { id, relyingPartyId, retired, keySignatures, capabilities } = message;
  return {
    id,
    relyingPartyId,
    deviceKey: jwk(message.deviceKey),
    presenceKeys: message.presenceKeys.map((key) => ({
      kind: required(nameOf(PresenceKind, key.kind)),
      jwk: jwk(key.jwk),
      thumbprint: key.thumbprint,
      counts: key.counts ?? true,
      since: date(key.since),
    })),
    name: text(message.name),
    platform: required(nameOf(Platform, message.platform)),
    appVersion: text(message.appVersion),
    retired,
    createdAt: required(date(message.createdAt)),
    updatedAt: required(date(message.updatedAt)),
    lastSeenAt: date(message.lastSeenAt),
    keyStatement: text(message.keyStatement),
    keySignatures,
    capabilities,
  };
}

export function identityDocument(message: IdentityDocumentMessage): types.IdentityDocument {
  const { id, relyingPartyId, userIdentifier, hash, counts } = message;
  return {
    id,
    relyingPartyId,
    userIdentifier,
    hash,
    type: required(nameOf(DocumentType, message.type)),
    verificationStatus: required(nameOf(VerificationStatus, message.verificationStatus)),
    verifiedAt: date(message.verifiedAt),
    createdAt: required(date(message.createdAt)),
    counts: counts ?? true,
  };
}

export function endpoint(message: EndpointMessage | undefined): types.Endpoint {
  const { id, url, eventTypes, enabled, publicKey, ...rest } = required(message);
  return {
    id,
    url,
    eventTypes,
    createdAt: required(date(rest.createdAt)),
    enabled,
    disabledReason: nameOf(DisabledReason, rest.disabledReason),
    disabledAt: date(rest.disabledAt),
    failingSince: date(rest.failingSince),
    publicKey,
    previousKeysUntil: date(rest.previousKeysUntil),
  };
}

export function delivery(message: DeliveryMessage): types.Delivery {
  const { id, eventType, url, attemptCount, subject } = message;
  return {
    id,
    trusonaficationId: text(message.trusonaficationId),
    eventType,
    url,
    state: required(nameOf(DeliveryState, message.state)),
    attemptCount,
    nextAttemptAt: date(message.nextAttemptAt),
    createdAt: required(date(message.createdAt)),
    attempts: message.attempts.map((attempt) => ({
      startedAt: required(date(attempt.startedAt)),
      duration: Number(attempt.durationMs),
      statusCode: attempt.statusCode === 0 ? undefined : attempt.statusCode,
      error: text(attempt.error),
      response: text(attempt.response),
    })),
    endpointId: text(message.endpointId),
    occurredAt: date(message.occurredAt),
    subject,
    body: text(message.body),
    bodyBytes: Number(message.bodyBytes),
  };
}

/** A JWKS document. */
export function jwks(json: string): Jwks {
  const read = parse(json);
  if (!isObject(read) || !Array.isArray(read['keys'])) throw unexpected('a JWKS that cannot be read');
  return { ...read, keys: read['keys'] as readonly unknown[] };
}

/** A time in a request. */
export function timestamp(time: Date): Timestamp {
  if (!(time instanceof Date) || Number.isNaN(time.getTime()))
    throw NodkeyError.client('INVALID_PARAMETER', 'a time is not a valid Date');
  return timestampFromDate(time);
}

function jwk(json: string): Jwk {
  const read = parse(json);
  if (!isObject(read)) throw unexpected('a key that is no JWK');
  return read;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw unexpected('JSON that cannot be read', error);
  }
}

function date(time: Timestamp | undefined): Date | undefined {
  return time && timestampDate(time);
}

function text(value: string): string | undefined {
  return value === '' ? undefined : value;
}

function level(value: number): Level | undefined {
  if (value === 1 || value === 2 || value === 3) return value;
  if (value === 0) return undefined;
  throw unexpected(`the level ${String(value)}`);
}

/** The name of an enum's value; `undefined` if it is not specified. */
function nameOf<E extends Record<string, string | number>>(
  names: E,
  value: number,
): Exclude<keyof E & string, 'UNSPECIFIED'> | undefined {
  if (value === 0) return undefined;
  const name = names[value];
  if (typeof name !== 'string') throw unexpected(`the value ${String(value)}, which a later release may know`);
  return name as Exclude<keyof E & string, 'UNSPECIFIED'>;
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw unexpected('an answer without a member that every answer has');
  return value;
}
