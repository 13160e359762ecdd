/**
 * Sign people in by their phones. A client of a Nodkey deployment for backends, and what verifies its evidence, receipts and webhooks.
 *
 * @packageDocumentation
 */

export { Nodkey, type NodkeyOptions } from './client.js';
export type { CallOptions } from './call-options.js';
export { bearerToken, type BearerOptions } from './credential.js';
export type { Environment } from './environment.js';
export { NodkeyError, type ClientReason, type ErrorKind, type FieldViolation } from './error.js';
export type { List, Page } from './pages.js';
export type { BindingFilter, Bindings, NewBinding } from './resources/bindings.js';
export type { Codes } from './resources/codes.js';
export type { Deliveries, DeliveryFilter, Redelivery } from './resources/deliveries.js';
export type { Devices, PageOptions } from './resources/devices.js';
export type { DocumentFilter, Documents, NewDocument } from './resources/documents.js';
export type { EndpointChanges, Endpoints, NewEndpoint, RotateOptions } from './resources/endpoints.js';
export type { SigningKeys } from './resources/jwks.js';
export type {
  NewTrusonafication,
  Target,
  TrusonaficationFilter,
  Trusonafications,
  WaitOptions,
} from './resources/trusonafications.js';
export type { UserFilter, Users } from './resources/users.js';
export type * from './types.js';
export type { Challenge, Response } from './verify/challenge.js';
export type { Audience, Level } from './verify/claims.js';
export {
  VerificationError,
  type EvidenceReason,
  type TokenReason,
  type VerificationReason,
  type WebhookReason,
} from './verify/error.js';
export type { Certification, Evidence, Expected, VerifiedEvidence } from './verify/evidence.js';
export {
  hashUserIdentifier,
  verifyDeviceIdentifier,
  verifyEvidence,
  verifyReceipt,
  verifyResult,
  verifyWebhook,
  type EvidenceOptions,
  type Keys,
  type KeySource,
  type TokenOptions,
  type VerifyOptions,
  type WebhookOptions,
} from './verify/index.js';
export type { Jwk, Jwks } from './verify/jwk.js';
export type { DeviceClaims, ResultClaims } from './verify/jwt.js';
export { isAccepted, isSuccess, type KeyKind, type Receipt, type ReceiptStatus } from './verify/receipt.js';
export type { Webhook, WebhookHeaders, WebhookNotice, WebhookResult } from './verify/webhook.js';
