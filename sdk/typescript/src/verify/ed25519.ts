/** What OpenSSL does not look at when it verifies Ed25519 signatures: which points are none, and which prove nothing. */

const P = 2n ** 255n - 19n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

/** The y coordinates of points of small order, in every encoding. A signature with one of them proves nothing. */
const SMALL_ORDER = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** Whether 32 bytes encode a point of small order. */
export function isSmallOrder(point: Uint8Array): boolean {
  return SMALL_ORDER.has(Buffer.from(withoutSign(point)).toString('hex'));
}

/** Whether 32 bytes encode a point of the curve: whether (y² − 1) / (dy² + 1) is a square (RFC 8032 section 5.1.3). */
export function isOnEd25519(point: Uint8Array): boolean {
  const y = BigInt(`0x${Buffer.from(withoutSign(point)).reverse().toString('hex')}`) % P;
  const [u, v] = [(y * y - 1n + P) % P, (D * y * y + 1n) % P];
  // Euler's criterion for u / v, which is a square if u · v is.
  return u === 0n || power((u * v) % P, (P - 1n) / 2n) === 1n;
}

function withoutSign(point: Uint8Array): Uint8Array {
  const y = Uint8Array.from(point);
  y[31] = (y[31] ?? 0) & 0x7f;
  return y;
}

function power(base: bigint, exponent: bigint): bigint {
  let [result, square] = [1n, base];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
}
