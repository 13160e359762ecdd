import { ScalarType, type DescMessage } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';

import { NodkeyError } from './error.js';

/** Refuses what cannot be a request before anything is sent: from JavaScript, which has no types, and from `any`. */
export const checkRequest: Interceptor = (next) => (request) => {
  if (!request.stream) check(request.method.input, request.message);
  return next(request);
};

/** Refuses what is not text. */
export function checkText(field: string, value: unknown): void {
  checkType(field, ScalarType.STRING, value);
}

type Members = Readonly<Record<string, unknown>>;

/** The types that requests have. The library would send a number where text is meant. */
const TYPES: Partial<Record<ScalarType, { readonly is: (value: unknown) => boolean; readonly name: string }>> = {
  [ScalarType.STRING]: { is: (value) => typeof value === 'string' && value.isWellFormed(), name: 'text' },
  [ScalarType.BOOL]: { is: (value) => typeof value === 'boolean', name: 'true or false' },
  [ScalarType.INT32]: {
    is: (value) => Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31,
    name: 'a whole number',
  },
};

function check(schema: DescMessage, message: Members): void {
  for (const field of schema.fields) {
    const value = message[field.localName];
    if (value === undefined) continue;
    if (field.fieldKind === 'scalar') checkType(field.name, field.scalar, value);
    else if (field.fieldKind === 'list' && field.listKind === 'scalar') {
      for (const item of value as readonly unknown[]) checkType(field.name, field.scalar, item);
    } else if (field.fieldKind === 'message') check(field.message, value as Members);
  }
}

function checkType(field: string, scalar: ScalarType, value: unknown): void {
  const type = TYPES[scalar];
  if (type === undefined || type.is(value)) return;
  const description = `must be ${type.name}`;
  throw NodkeyError.client('INVALID_PARAMETER', `${field} ${description}`, { fields: [{ field, description }] });
}
