import assert from 'node:assert/strict';
import { test } from 'node:test';

import { qrPath } from '../assets/lib/qr.js';
import { decodeQR } from '../assets/vendor/qr/decode.js';

const SCALE = 4;

/**
 * Paints the rectangles of a path.
 * @param {{size: number, path: string}} code
 */
function paint({ size, path }) {
  const width = size * SCALE;
  const data = new Uint8Array(width * width * 4).fill(255);
  for (const [, x, y, run] of path.matchAll(/M(\d+) (\d+)h(\d+)v1/g)) {
    for (let row = Number(y) * SCALE; row < (Number(y) + 1) * SCALE; row += 1) {
      const start = (row * width + Number(x) * SCALE) * 4;
      for (let at = start; at < start + Number(run) * SCALE * 4; at += 4) data.fill(0, at, at + 3);
    }
  }
  return { width, height: width, data };
}

test('a code decodes to its text', () => {
  const payload = `${'A'.repeat(60)}.${'b'.repeat(150)}.${'_-'.repeat(43)}`;
  for (const text of ['http://127.0.0.1:7070/demo/phone', payload]) assert.equal(decodeQR(paint(qrPath(text))), text);
});

test('a code has its quiet zone', () => {
  const { size, path } = qrPath('x');
  assert.equal(size, 21 + 8);
  const places = [...path.matchAll(/M(\d+) (\d+)/g)].flatMap(([, x, y]) => [Number(x), Number(y)]);
  assert.equal(Math.min(...places), 4);
});
