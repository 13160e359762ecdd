/** What calls return. Times are `Date`s, to the millisecond; what is empty on the server is `undefined`. */

import type { Level } from './verify/claims.js';
import type { Jwk } from './verify/jwk.js';

/** The status of a trusonafication. All but `IN_PROGRESS` are final. */
export type Status =
  | 'IN_PROGRESS'
  | 'ACCEPTED'
  | 'ACCEPTED_AT_HIGHER_LEVEL'
  | 'ACCEPTED_AT_LOWER_LEVEL'
  | 'REJECTED'
  | 'EXPIRED'
  | 'CANCELED';

/** How a person shows that they see the page that prompts them: they type the number, or choose it among three. Prefer `ENTER`. */
export type NumberMatch = 'CHOOSE' | 'ENTER';

/** Why a trusonafication was rejected. */
export type RejectReason = 'NOT_ME' | 'CHANGED_MIND' | 'NUMBER_MISMATCH';

/** Where the request to you comes from, as far as you know. The phone shows it. */
export interface RequestContext {
  /** An IP address. */
  readonly address?: string | undefined;
  /** The browser's name or user agent, at most 255 characters. */
  readonly browser?: string | undefined;
  /** The approximate place of the address, at most 100 characters. */
  readonly place?: string | undefined;
}

/** A request to a person, and how it ended. */
export interface Trusonafication {
  /** A UUID. */
  readonly id: string;
  /** The id of your relying party. */
  readonly relyingPartyId: string;
  /** The name of your relying party when it was created, as the phone shows it. */
  readonly relyingPartyName: string;
  /** Its status. After it has expired it is never `IN_PROGRESS`. */
  readonly status: Status;
  /** What an accept has to prove: 1 the phone, 2 also presence, 3 also an identity document. */
  readonly desiredLevel: Level;
  /** What the person is to confirm; shown and signed. */
  readonly action: string;
  /** What the action is about; shown and signed. */
  readonly resource: string;
  /** The user that it was created for; for a device or a code, once the user is known. */
  readonly userIdentifier: string | undefined;
  /** The device that it was created for, that scanned its code, or that responded. */
  readonly deviceIdentifier: string | undefined;
  /** The secure QR code that it was created for. */
  readonly codeId: string | undefined;
  /** Whether the phone shows it and waits for the person. */
  readonly prompt: boolean;
  /** Whether an accept has to prove presence to reach the desired level. */
  readonly userPresence: boolean;
  /** Whether an accept has to present a registered document to reach the desired level. */
  readonly showIdentityDocument: boolean;
  /** Your own fields as JSON, with the characters in which you sent them. */
  readonly customFieldsJson: string | undefined;
  /** Where the signed result is sent. */
  readonly callbackUrl: string | undefined;
  /** How a number is matched; `undefined`: none is. */
  readonly numberMatch: NumberMatch | undefined;
  /** Your login session that it is part of. */
  readonly context: string | undefined;
  /** Where the request came from, as you stated it. */
  readonly requestContext: RequestContext | undefined;
  /** When it was created. */
  readonly createdAt: Date;
  /** When its status last changed, or a device scanned its code. */
  readonly updatedAt: Date;
  /** When it expires, and can no longer be responded to. */
  readonly expiresAt: Date;
  /** Once it was accepted or rejected. */
  readonly result: Result | undefined;
  /** 1 at first, and one more with every change of status. */
  readonly version: number;
}

/** A response, and what it proved. */
export interface Result {
  /** A UUID. */
  readonly id: string;
  /** Whether the person accepted. `false`: they rejected, or the number was wrong. */
  readonly accepted: boolean;
  /** What was proven; `undefined` when rejected. */
  readonly acceptedLevel: Level | undefined;
  /** The user that the device was bound to at that moment: who it is. */
  readonly boundUserIdentifier: string;
  /** The device that responded. */
  readonly deviceIdentifier: string;
  /** Why it was rejected; `undefined` if accepted, or if the person gave no reason. */
  readonly rejectReason: RejectReason | undefined;
}

/** A trusonafication as it was created. */
export interface CreatedTrusonafication extends Trusonafication {
  /** Two or six digits to show to the user, only in the browser that started this; `undefined`: there is nothing to show. */
  readonly matchNumber: string | undefined;
}

/** The state of a binding. It never goes back. */
export type BindingState = 'INACTIVE' | 'ACTIVE' | 'DEACTIVATED';

/** That a device is a user's. */
export interface Binding {
  /** A UUID, which is also the activation code. */
  readonly id: string;
  /** The id of your relying party. */
  readonly relyingPartyId: string;
  /** The user, as you name them. */
  readonly userIdentifier: string;
  /** The device: 43 characters, the thumbprint of its key. */
  readonly deviceIdentifier: string;
  /** Only `ACTIVE` ones can respond. */
  readonly state: BindingState;
  /** When the device was bound. */
  readonly createdAt: Date;
  /** When it was activated; kept after it has ended. */
  readonly activatedAt: Date | undefined;
  /** When it ended. */
  readonly deactivatedAt: Date | undefined;
  /** Whether the user is frozen: then the device cannot respond. */
  readonly userFrozen: boolean;
  /** The phone of the user that vouched for this one; `undefined`: you bound it. */
  readonly vouchedBy: string | undefined;
}

/** A user who has a device, or is frozen. */
export interface User {
  /** The user, as you name them. */
  readonly userIdentifier: string;
  /** How many devices are bound to them, active or not. */
  readonly devices: number;
  /** `undefined`: they are not frozen. */
  readonly freeze: Freeze | undefined;
}

/** Nobody can prompt the user, and none of their devices can respond. */
export interface Freeze {
  /** Since when. */
  readonly frozenAt: Date;
  /** Who froze them first. */
  readonly frozenBy: 'BACKEND' | 'OPERATOR' | 'DEVICE';
  /** The device that did, if one did. */
  readonly frozenByDevice: string | undefined;
  /** Why, for people. */
  readonly note: string | undefined;
}

/** Which device scanned a secure QR code. */
export interface Pairing {
  /** The id of the code. */
  readonly id: string;
  /** The device identifier; any text if your relying party allows unproven pairing. */
  readonly identifier: string;
}

/** A phone, browser or terminal with keys. */
export interface Device {
  /** 43 characters: the thumbprint (RFC 7638) of the device key. */
  readonly id: string;
  /** The id of your relying party. */
  readonly relyingPartyId: string;
  /** Signs without the person: level 1. */
  readonly deviceKey: Jwk;
  /** Sign after the person was verified: level 2. */
  readonly presenceKeys: readonly PresenceKey[];
  /** The phone's own name, for people. */
  readonly name: string | undefined;
  /** As the device says. */
  readonly platform: 'IOS' | 'ANDROID' | 'OTHER' | 'WEB' | 'CLI';
  /** As the device says. */
  readonly appVersion: string | undefined;
  /** Whether it is retired, permanently: none of its keys counts. */
  readonly retired: boolean;
  /** When it registered. */
  readonly createdAt: Date;
  /** When its keys, name, app or statement last changed, or it was retired. */
  readonly updatedAt: Date;
  /** When it last proved itself, recorded once an hour at most. */
  readonly lastSeenAt: Date | undefined;
  /** Its own statement of which presence keys it has, a JWS. `undefined`: it is uncertified. */
  readonly keyStatement: string | undefined;
  /** The same claims by presence keys. */
  readonly keySignatures: readonly string[];
  /** `match6`: its app takes numbers of six digits. */
  readonly capabilities: readonly string[];
}

/** A key that signs after the person was verified. */
export interface PresenceKey {
  /** By fingerprint or face, or by PIN, pattern or passcode. */
  readonly kind: 'BIOMETRIC' | 'CREDENTIAL';
  /** The public key. */
  readonly jwk: Jwk;
  /** RFC 7638. */
  readonly thumbprint: string;
  /** Whether it proves presence. One that does not, until you approve it, proves level 1. */
  readonly counts: boolean;
  /** Since when the device has it; `undefined`: since before this was recorded. */
  readonly since: Date | undefined;
}

/** The type of a document. */
export type DocumentType = 'AAMVA_DRIVERS_LICENSE';

/** An identity document of a user. */
export interface IdentityDocument {
  /** A UUID. */
  readonly id: string;
  /** The id of your relying party. */
  readonly relyingPartyId: string;
  /** The user, as you name them. */
  readonly userIdentifier: string;
  /** The app's hash of it. */
  readonly hash: string;
  /** Its type. */
  readonly type: DocumentType;
  /** What somebody found who verified it; without effect on levels. */
  readonly verificationStatus: 'UNVERIFIED' | 'UNVERIFIABLE' | 'VERIFIED' | 'FAILED';
  /** When it was verified. */
  readonly verifiedAt: Date | undefined;
  /** When it was first registered. */
  readonly createdAt: Date;
  /** Whether it makes an accept level 3. */
  readonly counts: boolean;
}

/** A URL that is notified of events. */
export interface Endpoint {
  /** A UUID. */
  readonly id: string;
  /** Where it is. */
  readonly url: string;
  /** Which events; empty: all. */
  readonly eventTypes: readonly string[];
  /** When it was added. It is not notified of earlier events. */
  readonly createdAt: Date;
  /** While it is disabled, deliveries are kept and can be sent later. */
  readonly enabled: boolean;
  /** Why it is disabled: by you, it returned 410, or every attempt failed for days. */
  readonly disabledReason: 'OWNER' | 'GONE' | 'FAILING' | undefined;
  /** When it was disabled. */
  readonly disabledAt: Date | undefined;
  /** Since when every attempt has failed. */
  readonly failingSince: Date | undefined;
  /** `whpk_…`: verifies `v1a` signatures. */
  readonly publicKey: string;
  /** Until when the last of the previous keys also signs. */
  readonly previousKeysUntil: Date | undefined;
}

/** An endpoint with its secret, which no other answer has. */
export interface EndpointWithSecret extends Endpoint {
  /** `whsec_…` */
  readonly secret: string;
}

/** The state of a delivery. `EXHAUSTED`: nothing more is tried. */
export type DeliveryState = 'PENDING' | 'SUCCEEDED' | 'EXHAUSTED';

/** An event on its way to an endpoint or a `callbackUrl`. */
export interface Delivery {
  /** A UUID: the `webhook-id`. */
  readonly id: string;
  /** The trusonafication that it is about; `undefined`: see `subject`. */
  readonly trusonaficationId: string | undefined;
  /** `trusonafication.accepted` and so on. */
  readonly eventType: string;
  /** Where it is sent. */
  readonly url: string;
  /** Its state. */
  readonly state: DeliveryState;
  /** How many attempts there were. */
  readonly attemptCount: number;
  /** When the next one is due. */
  readonly nextAttemptAt: Date | undefined;
  /** When it was received for sending. */
  readonly createdAt: Date;
  /** Oldest first; only from `get`. */
  readonly attempts: readonly Attempt[];
  /** `undefined` for a `callbackUrl`. */
  readonly endpointId: string | undefined;
  /** When it happened. */
  readonly occurredAt: Date | undefined;
  /** `trusonafication/ID`, `device/ID`, `user/IDENTIFIER` and so on. */
  readonly subject: string;
  /** What is sent, its first 16 KiB; only from `get`. */
  readonly body: string | undefined;
  /** How many bytes that is in whole. */
  readonly bodyBytes: number;
}

/** An attempt to deliver. */
export interface Attempt {
  /** When it began. */
  readonly startedAt: Date;
  /** How many milliseconds it took. */
  readonly duration: number;
  /** The HTTP status; `undefined`: there was no response. */
  readonly statusCode: number | undefined;
  /** Why there was none, or what was wrong with it. */
  readonly error: string | undefined;
  /** The first 1 KiB of the response. */
  readonly response: string | undefined;
}
