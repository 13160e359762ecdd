/** The words for what the server names by constants. */
import { h } from '../lib/dom.js';
import { icon } from '../lib/icons.js';

/** @typedef {'ok' | 'warn' | 'bad' | 'info' | ''} Tone */
/** @typedef {{ text: string, tone?: Tone, icon?: import('../lib/icons.js').IconName }} Name */

/** @type {Record<string, Name>} */
export const STATUSES = {
  STATUS_IN_PROGRESS: { text: 'In progress', tone: 'info' },
  STATUS_ACCEPTED: { text: 'Accepted', tone: 'ok', icon: 'check' },
  STATUS_ACCEPTED_AT_HIGHER_LEVEL: { text: 'Accepted, higher level', tone: 'ok', icon: 'check' },
  STATUS_ACCEPTED_AT_LOWER_LEVEL: { text: 'Accepted, lower level', tone: 'warn', icon: 'check' },
  STATUS_REJECTED: { text: 'Rejected', tone: 'bad', icon: 'close' },
  STATUS_EXPIRED: { text: 'Expired', icon: 'clock' },
  STATUS_CANCELED: { text: 'Canceled', icon: 'ban' },
};

/** @type {Record<string, string>} */
export const REJECT_REASONS = {
  REJECT_REASON_NOT_ME: 'Reported by the user: not me',
  REJECT_REASON_CHANGED_MIND: 'The user changed their mind',
  REJECT_REASON_NUMBER_MISMATCH: 'The number did not match',
};

/** @type {Record<number, string>} */
const LEVELS = {
  1: 'Phone (level 1)',
  2: 'Phone and presence (level 2)',
  3: 'Phone, presence and identity document (level 3)',
};

/**
 * Names a level of assurance; an unknown one by its number.
 * @param {number} level
 */
export function levelText(level) {
  return LEVELS[level] ?? `Level ${level}`;
}

/** @type {Record<string, string>} */
export const NUMBER_MATCHES = { NUMBER_MATCH_CHOOSE: 'One of three', NUMBER_MATCH_ENTER: 'Typed' };

/** @type {Record<string, Name>} */
export const BINDING_STATES = {
  BINDING_STATE_INACTIVE: { text: 'Waiting for activation', tone: 'warn' },
  BINDING_STATE_ACTIVE: { text: 'Active', tone: 'ok' },
  BINDING_STATE_DEACTIVATED: { text: 'Deactivated' },
};

/** @type {Record<string, string>} */
export const FREEZERS = {
  FROZEN_BY_BACKEND: 'the backend',
  FROZEN_BY_OPERATOR: 'an operator',
  FROZEN_BY_DEVICE: 'a device of the user',
};

/** @type {Record<string, string>} */
export const PLATFORMS = {
  PLATFORM_IOS: 'iOS',
  PLATFORM_ANDROID: 'Android',
  PLATFORM_WEB: 'Browser',
  PLATFORM_CLI: 'Terminal',
  PLATFORM_OTHER: 'Other',
};

/** @type {Record<string, string>} */
export const PRESENCE_KINDS = {
  PRESENCE_KIND_BIOMETRIC: 'Fingerprint or face',
  PRESENCE_KIND_CREDENTIAL: 'PIN, pattern or passcode',
};

/** @type {Record<string, string>} */
export const PUSH_PROVIDERS = {
  PUSH_PROVIDER_APNS: 'Apple Push Notification service',
  PUSH_PROVIDER_FCM: 'Firebase Cloud Messaging',
  PUSH_PROVIDER_WEBPUSH: 'Web Push',
  PUSH_PROVIDER_UNIFIEDPUSH: 'UnifiedPush',
};

/** @type {Record<string, string>} */
export const DOCUMENT_TYPES = { DOCUMENT_TYPE_AAMVA_DRIVERS_LICENSE: 'Driver’s license (US, Canada)' };

/** @type {Record<string, Name>} */
export const VERIFICATION_STATUSES = {
  VERIFICATION_STATUS_UNVERIFIED: { text: 'Not verified' },
  VERIFICATION_STATUS_UNVERIFIABLE: { text: 'Cannot be verified', tone: 'warn' },
  VERIFICATION_STATUS_VERIFIED: { text: 'Verified', tone: 'ok', icon: 'check' },
  VERIFICATION_STATUS_FAILED: { text: 'Not genuine', tone: 'bad', icon: 'close' },
};

/** @type {Record<string, string>} */
export const CREDENTIAL_KINDS = { CREDENTIAL_KIND_SERVER: 'Server', CREDENTIAL_KIND_MOBILE: 'Mobile' };

/** @type {Record<string, Name>} */
export const DELIVERY_STATES = {
  DELIVERY_STATE_PENDING: { text: 'Pending', tone: 'info' },
  DELIVERY_STATE_SUCCEEDED: { text: 'Succeeded', tone: 'ok', icon: 'check' },
  DELIVERY_STATE_EXHAUSTED: { text: 'Exhausted', tone: 'bad', icon: 'close' },
};

/** @type {Record<string, string>} */
export const DISABLED_REASONS = {
  DISABLED_REASON_OWNER: 'switched off',
  DISABLED_REASON_GONE: 'it answered 410 Gone',
  DISABLED_REASON_FAILING: 'all attempts failed for days',
};

/** The events an endpoint can subscribe to. */
export const EVENT_TYPES = [
  ...['accepted', 'rejected', 'expired', 'canceled', 'reported'].map((status) => `trusonafication.${status}`),
  'device.registered',
  'device.keys_changed',
  'device.replaced',
  'device.retired',
  'binding.activated',
  'identity_document.registered',
  'user.frozen',
];

/** @type {Record<string, string>} */
export const ROLES = { ROLE_OWNER: 'Owner', ROLE_OPERATOR: 'Operator', ROLE_AUDITOR: 'Auditor' };

/** @type {Record<string, string>} */
export const ROLE_RIGHTS = {
  ROLE_OWNER: 'Full access, including operators and signing keys',
  ROLE_OPERATOR: 'Reads and changes relying parties',
  ROLE_AUDITOR: 'Reads only',
};

/** @type {Record<string, Name>} */
export const OPERATOR_STATES = {
  OPERATOR_STATE_INVITED: { text: 'Invited', tone: 'info' },
  OPERATOR_STATE_ACTIVE: { text: 'Active', tone: 'ok' },
  OPERATOR_STATE_DISABLED: { text: 'Disabled' },
};

/**
 * Names a role, written `ROLE_OWNER` or, in sessions and the audit log, `owner`.
 * @param {string} role
 */
export function roleName(role) {
  return ROLES[role] ?? ROLES[`ROLE_${role.toUpperCase()}`] ?? role;
}

/**
 * Shows a state as a badge; one that is not known, by its constant.
 * @param {Record<string, Name>} names
 * @param {string} value
 */
export function stateBadge(names, value) {
  return badge(names[value] ?? { text: value });
}

/**
 * Shows a badge.
 * @param {Name} name
 */
export function badge({ text, tone = '', icon: drawn }) {
  return h('span.badge', { class: tone }, drawn ? icon(drawn, 12) : tone === 'info' && h('span.dot'), text);
}

/**
 * Lists constants with their words, for a choice.
 * @param {Record<string, string | Name>} names
 * @returns {[string, string][]}
 */
export function choices(names) {
  return Object.entries(names).map(([value, name]) => [value, typeof name === 'string' ? name : name.text]);
}
