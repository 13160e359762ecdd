/**
 * JOSE over WebCrypto, limited to what the protocol uses: JWK (RFC 7517), thumbprints (RFC 7638), compact JWS (RFC 7515)
 * with ES256 and EdDSA (Ed25519, RFC 8037; under its name of RFC 9864, too). Nothing else is accepted.
 */

/** @typedef {{kty: 'EC', crv: 'P-256', x: string, y: string} | {kty: 'OKP', crv: 'Ed25519', x: string}} PublicJwk */
/** @typedef {{keys: unknown[]}} Jwks */
/** @typedef {'ES256' | 'EdDSA'} Algorithm */
/** @typedef {{alg: string, typ?: string, kid?: string, jwk?: PublicJwk}} Header */
/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {string | string[]} Audience */
/**
 * The parts of a JWS. Unverified until `verifyJws`.
 * @typedef {object} Compact
 * @property {Header} header
 * @property {Bytes} payload
 * @property {Bytes} signature
 * @property {string} input what was signed
 */
/** @typedef {'BASE64' | 'KEY' | 'MALFORMED' | 'ALGORITHM' | 'TYPE' | 'SIGNATURE' | 'CLAIMS' | 'UNKNOWN_KEY'} JoseErrorCode */

/** The longest JWS that is read, 1.5 MiB: a challenge with 1 MiB of custom fields. */
const MAX_LENGTH = 3 << 19;

/** Private members of JWKs (RFC 7518 section 6). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** The y coordinates of points of small order, in every encoding. Signatures by such keys prove nothing. */
const SMALL_ORDER = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** The types that a key without `typs` may sign. Never receipts. */
const TYPS_BEFORE = ['nodkey-challenge+jwt', 'nodkey-result+jwt', 'nodkey-device+jwt', 'nodkey-trucode+jwt'];

const MESSAGES = {
  BASE64: 'not base64url',
  KEY: 'not a public P-256 or Ed25519 JWK',
  MALFORMED: 'not a compact JWS',
  ALGORITHM: "the algorithm is not the key's",
  TYPE: 'the type is not the expected one',
  SIGNATURE: 'the signature does not verify',
  CLAIMS: 'the claims are not the expected ones',
  UNKNOWN_KEY: 'signed by a key that the JWKS does not hold for this',
};

/** A violation of JOSE. */
export class JoseError extends Error {
  /** @param {JoseErrorCode} code */
  constructor(code) {
    super(MESSAGES[code]);
    this.name = 'JoseError';
    this.code = code;
  }
}

/**
 * Encodes as UTF-8.
 * @param {string} text
 * @returns {Bytes}
 */
export function utf8(text) {
  return new TextEncoder().encode(text);
}

/**
 * base64url without padding.
 * @param {Uint8Array} bytes
 */
export function b64u(bytes) {
  return base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/**
 * base64 with padding.
 * @param {Uint8Array} bytes
 */
export function base64(bytes) {
  let binary = '';
  // In chunks: a call takes a limited number of arguments.
  for (let at = 0; at < bytes.length; at += 0x2000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x2000));
  return btoa(binary);
}

/**
 * Decodes base64url without padding. Accepts only the canonical encoding.
 * @param {string} text
 * @returns {Bytes}
 */
export function b64uDecode(text) {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) throw new JoseError('BASE64');
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
  if (b64u(bytes) !== text) throw new JoseError('BASE64');
  return bytes;
}

/**
 * Lower-case hexadecimal.
 * @param {Uint8Array} bytes
 */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * base64url of the SHA-256.
 * @param {Bytes} bytes
 */
export async function sha256(bytes) {
  return b64u(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}

/**
 * The algorithm of a key.
 * @param {PublicJwk} jwk
 * @returns {Algorithm}
 */
export function algorithm(jwk) {
  return jwk.kty === 'EC' ? 'ES256' : 'EdDSA';
}

/**
 * Reads a public JWK: the members of the key and no others. Refuses private members, other key types, an
 * `alg` that is not the key's and a `use` that is not `sig`. That a P-256 point is on the curve is checked when it verifies.
 * @param {unknown} value
 * @returns {PublicJwk}
 */
export function publicJwk(value) {
  const jwk = /** @type {Record<string, unknown>} */ (value ?? {});
  if (PRIVATE_MEMBERS.some((name) => (jwk[name] ?? null) !== null)) throw new JoseError('KEY');
  /** @param {string} name */
  const coordinate = (name) => {
    const text = jwk[name];
    if (typeof text !== 'string' || !/^[\w-]{43}$/.test(text)) throw new JoseError('KEY');
    return text;
  };
  /** @type {PublicJwk} */
  let key;
  if (jwk.kty === 'EC' && jwk.crv === 'P-256') {
    key = { kty: jwk.kty, crv: jwk.crv, x: coordinate('x'), y: coordinate('y') };
  } else if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') {
    key = { kty: jwk.kty, crv: jwk.crv, x: coordinate('x') };
    if (isSmallOrder(b64uDecode(key.x))) throw new JoseError('KEY');
  } else {
    throw new JoseError('KEY');
  }
  if (!isAlgorithm(jwk.alg ?? algorithm(key), key) || (jwk.use ?? 'sig') !== 'sig') throw new JoseError('KEY');
  return key;
}

/**
 * The thumbprint (RFC 7638, SHA-256): 43 characters of base64url.
 * @param {PublicJwk} jwk
 */
export function thumbprint(jwk) {
  const { crv, kty, x, ...rest } = publicJwk(jwk);
  return sha256(utf8(JSON.stringify({ crv, kty, x, ...rest })));
}

/**
 * The key a `kid` names, if it may sign a JWS of that `typ`. A key names in `typs` what it signs; one that names none was published
 * before keys did, and signs what was signed before. A key that was `revoked` signs nothing.
 * @param {Jwks} jwks
 * @param {string | undefined} kid
 * @param {string} typ
 * @returns {PublicJwk}
 */
export function findKey(jwks, kid, typ) {
  const named = jwks.keys.find((key) => {
    const published = /** @type {{kid?: unknown, typs?: unknown, revoked?: unknown}} */ (Object(key));
    const { typs = TYPS_BEFORE } = published;
    return published.kid === kid && published.revoked === undefined && isTexts(typs) && typs.includes(typ);
  });
  if (kid === undefined || named === undefined) throw new JoseError('UNKNOWN_KEY');
  return publicJwk(named);
}

/**
 * @param {unknown} value
 * @returns {value is string[]}
 */
function isTexts(value) {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

/**
 * Parses a compact JWS.
 * @param {string} jws
 * @returns {Compact}
 */
export function parseJws(jws) {
  const parts = jws.split('.', 4);
  if (jws.length > MAX_LENGTH || parts.length !== 3) throw new JoseError('MALFORMED');
  const [header, payload, signature] = parts.map(b64uDecode);
  return { header: readHeader(header), payload, signature, input: jws.slice(0, jws.lastIndexOf('.')) };
}

/**
 * Verifies with `key` and returns the claims. The key determines the algorithm, and the header must agree.
 * @param {Compact} compact
 * @param {PublicJwk} key
 * @param {string} typ
 * @returns {Promise<Record<string, unknown>>}
 */
export async function verifyJws(compact, key, typ) {
  if (compact.header.typ !== typ) throw new JoseError('TYPE');
  if (!isAlgorithm(compact.header.alg, key)) throw new JoseError('ALGORITHM');
  if (!(await verify(key, utf8(compact.input), compact.signature))) throw new JoseError('SIGNATURE');
  return withoutNulls(readObject(compact.payload, 'CLAIMS'));
}

/**
 * Whether a name is that of a key's algorithm. `Ed25519` (RFC 9864) is `EdDSA` with its curve, the only one supported here.
 * @param {unknown} name
 * @param {PublicJwk} key
 */
function isAlgorithm(name, key) {
  return name === algorithm(key) || (name === 'Ed25519' && algorithm(key) === 'EdDSA');
}

/**
 * Whether a claim is a NumericDate (RFC 7519 section 2), which may have a fraction.
 * @param {unknown} value
 */
export function isDate(value) {
  return typeof value === 'number' && Math.abs(value) <= 2 ** 53;
}

/**
 * Whether a claim is an audience (RFC 7519 section 4.1.3): one recipient, or a list of them.
 * @param {unknown} value
 * @returns {value is Audience}
 */
export function isAudience(value) {
  return typeof value === 'string' || isTexts(value);
}

/**
 * Whether an audience includes a recipient.
 * @param {Audience} audience
 * @param {string} name
 */
export function includes(audience, name) {
  return typeof audience === 'string' ? audience === name : audience.includes(name);
}

/**
 * Treats null members as absent.
 * @param {Record<string, unknown>} object
 */
function withoutNulls(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}

/**
 * Signs claims. `sign` returns 64 bytes, `r || s` for ES256.
 * @param {Header} header
 * @param {object} claims
 * @param {(message: Bytes) => Promise<Uint8Array>} sign
 */
export async function signJws(header, claims, sign) {
  const input = [header, claims].map((part) => b64u(utf8(JSON.stringify(part)))).join('.');
  return `${input}.${b64u(await sign(utf8(input)))}`;
}

/**
 * @param {PublicJwk} key
 * @param {Bytes} message
 * @param {Bytes} signature
 */
async function verify(key, message, signature) {
  if (signature.length !== 64) return false;
  if (key.kty === 'OKP' && isSmallOrder(signature.subarray(0, 32))) return false;
  const name = key.kty === 'EC' ? { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } : { name: 'Ed25519' };
  const imported = await crypto.subtle.importKey('jwk', key, name, false, ['verify']).catch(() => {
    throw new JoseError('KEY');
  });
  return crypto.subtle.verify(name, imported, signature, message);
}

/** @param {Uint8Array} point */
function isSmallOrder(point) {
  const y = Uint8Array.from(point);
  y[31] &= 0x7f;
  return SMALL_ORDER.has(hex(y));
}

/**
 * @param {Bytes} bytes
 * @returns {Header}
 */
function readHeader(bytes) {
  const header = readObject(bytes, 'MALFORMED');
  const { alg, typ, kid, jwk } = withoutNulls(header);
  const isText = (/** @type {unknown} */ value) => value === undefined || typeof value === 'string';
  // `crit` names extensions that must be understood. None are supported.
  if (typeof alg !== 'string' || !isText(typ) || !isText(kid) || header.crit !== undefined)
    throw new JoseError('MALFORMED');
  return /** @type {Header} */ ({ alg, typ, kid, jwk: jwk === undefined ? undefined : publicJwk(jwk) });
}

/**
 * @param {Bytes} bytes
 * @param {JoseErrorCode} code
 * @returns {Record<string, unknown>}
 */
function readObject(bytes, code) {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Neither UTF-8 nor JSON is an object either.
  }
  throw new JoseError(code);
}
