/** MD5 (RFC 1321), which WebCrypto does not have. The TRUSONA signature covers the MD5 of the body; its security rests on the HMAC. */

import { hex } from '../lib/jose.js';

const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));

/**
 * Of each round: its function, the word of the block its i-th step takes, and how far it turns.
 * @type {{mix: (b: number, c: number, d: number) => number, word: (i: number) => number, turns: number[]}[]}
 */
const ROUNDS = [
  { mix: (b, c, d) => (b & c) | (~b & d), word: (i) => i, turns: [7, 12, 17, 22] },
  { mix: (b, c, d) => (d & b) | (~d & c), word: (i) => 5 * i + 1, turns: [5, 9, 14, 20] },
  { mix: (b, c, d) => b ^ c ^ d, word: (i) => 3 * i + 5, turns: [4, 11, 16, 23] },
  { mix: (b, c, d) => c ^ (b | ~d), word: (i) => 7 * i, turns: [6, 10, 15, 21] },
];

/**
 * Lower-case hexadecimal MD5.
 * @param {Uint8Array} bytes
 */
export function md5(bytes) {
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  const padded = pad(bytes);
  for (let at = 0; at < padded.byteLength; at += 64) absorb(state, new DataView(padded.buffer, at, 64));
  const digest = new DataView(new ArrayBuffer(16));
  state.forEach((word, i) => digest.setInt32(4 * i, word, true));
  return hex(new Uint8Array(digest.buffer));
}

/** @param {Uint8Array} bytes */
function pad(bytes) {
  const padded = new Uint8Array(64 * Math.ceil((bytes.length + 9) / 64));
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  new DataView(padded.buffer).setBigUint64(padded.length - 8, 8n * BigInt(bytes.length), true);
  return padded;
}

/**
 * @param {Int32Array} state
 * @param {DataView} block
 */
function absorb(state, block) {
  let [a, b, c, d] = state;
  for (let step = 0; step < 64; step += 1) {
    const { mix, word, turns } = ROUNDS[step >> 4];
    const sum = (a + mix(b, c, d) + SINES[step] + block.getInt32(4 * (word(step) % 16), true)) | 0;
    const turn = turns[step % 4];
    [a, d, c, b] = [d, c, b, (b + ((sum << turn) | (sum >>> (32 - turn)))) | 0];
  }
  [a, b, c, d].forEach((word, i) => (state[i] += word));
}
