/** Between the types of this package and protobuf JSON with the original names of fields, as sdk/spec/README.md has it. */

import type { Params } from './functions.js';

/** How the names of an enum begin on the wire, by the field that has it. */
const PREFIXES: Readonly<Record<string, string | ((value: string) => string)>> = {
  status: 'STATUS_',
  state: (value) => (['PENDING', 'SUCCEEDED', 'EXHAUSTED'].includes(value) ? 'DELIVERY_STATE_' : 'BINDING_STATE_'),
  number_match: 'NUMBER_MATCH_',
  reject_reason: 'REJECT_REASON_',
  frozen_by: 'FROZEN_BY_',
  kind: 'PRESENCE_KIND_',
  platform: 'PLATFORM_',
  type: 'DOCUMENT_TYPE_',
  verification_status: 'VERIFICATION_STATUS_',
  disabled_reason: 'DISABLED_REASON_',
};
const ENUM = /^(STATUS|BINDING_STATE|DELIVERY_STATE|NUMBER_MATCH|DOCUMENT_TYPE)_/;
const TIMES = ['expires_at', 'created_after', 'created_before', 'since', 'until'];
/** Keys are JSON on the wire. */
const JWKS = ['device_key', 'jwk'];
/** Numbers of 64 bits are text in protobuf JSON. */
const LONGS = ['version', 'body_bytes', 'duration_ms', 'count'];
/** What this package names otherwise than the contract. */
const RENAMED: Readonly<Record<string, string>> = { codeId: 'trucode_id', duration: 'duration_ms' };

/** Parameters as this package takes them. */
export function fromWire(params: Params): Params {
  const read = (name: string, value: unknown) => {
    if (typeof value !== 'string') return value;
    return TIMES.includes(name) ? new Date(value) : value.replace(ENUM, '');
  };
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [camel(name), read(name, value)]));
}

/** A result in protobuf JSON. */
export function toWire(value: unknown, name = ''): unknown {
  if (value instanceof Date) return value.toISOString();
  if (JWKS.includes(name)) return JSON.stringify(value);
  if (LONGS.includes(name)) return String(value);
  if (Array.isArray(value)) return value.map((item) => toWire(item));
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return Object.fromEntries(
      members.map(([key, member]) => {
        const field = RENAMED[key] ?? snake(key);
        return [field, toWire(member, field)];
      }),
    );
  }
  const prefix = typeof value === 'string' ? PREFIXES[name] : undefined;
  if (prefix === undefined) return value;
  return `${typeof prefix === 'string' ? prefix : prefix(String(value))}${String(value)}`;
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
