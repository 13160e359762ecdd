/** base64url without padding. */
export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** Decodes base64url without padding. `undefined` for anything but the one canonical encoding. */
export function fromBase64url(text: string): Buffer | undefined {
  return canonical(text, 'base64url');
}

/** Decodes base64 with padding. `undefined` for anything but the one canonical encoding. */
export function fromBase64(text: string): Buffer | undefined {
  return canonical(text, 'base64');
}

// Node.js skips what is not in the alphabet. Whatever it skipped is missing when it encodes again.
function canonical(text: string, encoding: 'base64' | 'base64url'): Buffer | undefined {
  const bytes = Buffer.from(text, encoding);
  return bytes.toString(encoding) === text ? bytes : undefined;
}
