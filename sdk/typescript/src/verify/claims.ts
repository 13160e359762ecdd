/** Forms of claims. */

/** The audience of a JWT (RFC 7519 section 4.1.3): one recipient, or several. */
export type Audience = string | readonly string[];

/** The level that an accept proves: 1 the phone, 2 the phone and the person's presence, 3 also an identity document. */
export type Level = 1 | 2 | 3;

/** Whether a claim is text that is valid Unicode. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}

/** Whether a claim is absent, or what `is` says. */
export function isAbsentOr(is: (value: unknown) => boolean, value: unknown): boolean {
  return value === undefined || value === null || is(value);
}

/** Whether a claim is one of these. */
export function isOneOf(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value);
}

/** Whether a claim is an audience. */
export function isAudience(value: unknown): value is Audience {
  return isText(value) || (Array.isArray(value) && value.every(isText));
}

/** Whether an audience has a recipient. */
export function includes(audience: Audience, name: string): boolean {
  return typeof audience === 'string' ? audience === name : audience.includes(name);
}

/** Whether a claim is a date in seconds, which may have a fraction (RFC 7519 section 2). */
export function isDate(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= 2 ** 53;
}
