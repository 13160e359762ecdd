/** The objects that several views show, as proto3 JSON has them: see proto/nodkey. */

/**
 * @typedef {object} Trusonafication
 * @property {string} id
 * @property {string} status
 * @property {number} desiredLevel
 * @property {string} action
 * @property {string} resource
 * @property {string} [userIdentifier]
 * @property {string} [deviceIdentifier]
 * @property {string} [trucodeId]
 * @property {boolean} [prompt]
 * @property {boolean} [userPresence]
 * @property {boolean} [showIdentityDocument]
 * @property {string} [customFieldsJson]
 * @property {string} [callbackUrl]
 * @property {string} createdAt
 * @property {string} updatedAt
 * @property {string} expiresAt
 * @property {Result} [result]
 * @property {string} [numberMatch]
 * @property {string} [context]
 * @property {import('../lib/challenge.js').RequestContext} [requestContext]
 */

/** @typedef {{ accepted?: boolean, acceptedLevel?: number, boundUserIdentifier?: string, deviceIdentifier: string, rejectReason?: string }} Result */

/**
 * @typedef {object} Delivery
 * @property {string} id
 * @property {string} [trusonaficationId]
 * @property {string} [subject]
 * @property {string} eventType
 * @property {string} url
 * @property {string} state
 * @property {number} [attemptCount]
 * @property {string} [nextAttemptAt]
 * @property {string} createdAt
 * @property {Attempt[]} [attempts]
 * @property {string} [endpointId]
 * @property {string} [occurredAt]
 * @property {string} [body]
 * @property {string} [bodyBytes]
 */

/** @typedef {{ startedAt: string, durationMs?: string, statusCode?: number, error?: string, response?: string }} Attempt */

/** @typedef {{ id: string, url: string, eventTypes?: string[], createdAt: string, enabled?: boolean, disabledReason?: string, disabledAt?: string, failingSince?: string, publicKey: string, previousKeysUntil?: string }} Endpoint */

/** @typedef {{ id: string, userIdentifier: string, deviceIdentifier: string, state: string, createdAt: string, activatedAt?: string, deactivatedAt?: string, vouchedBy?: string }} Binding */

/** @typedef {{ frozenAt: string, frozenBy: string, frozenByDevice?: string, note?: string }} Freeze */

/** @typedef {{ id: string, deviceKey: string, presenceKeys?: { kind: string, jwk: string, thumbprint: string, counts?: boolean, since?: string }[], keyStatement?: string, name?: string, platform?: string, appVersion?: string, retired?: boolean, createdAt: string, lastSeenAt?: string }} Device */

export {};
