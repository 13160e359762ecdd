/** QR codes as SVG. */

import { encodeQR } from '../vendor/qr/index.js';
import { svg } from './dom.js';

/** The quiet zone that readers need around a code, in modules. */
const QUIET = 4;

/**
 * The dark modules as one SVG path, a rectangle for each run in a row, in a square of `size` modules with its quiet zone.
 * @param {string} text
 */
export function qrPath(text) {
  // Low error correction: screens are clean, and fewer modules can be read from further away.
  const rows = encodeQR(text, 'raw', { ecc: 'low', border: QUIET });
  let path = '';
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x += 1) {
      const start = x;
      while (row[x]) x += 1;
      if (x > start) path += `M${start} ${y}h${x - start}v1H${start}z`;
    }
  });
  return { size: rows.length, path };
}

/**
 * A QR code, black on white in every theme.
 * @param {string} text
 * @param {string} [label] for screen readers
 */
export function qrSvg(text, label = 'QR code') {
  const { size, path } = qrPath(text);
  const properties = { class: 'qr', viewBox: `0 0 ${size} ${size}`, role: 'img', 'aria-label': label };
  return svg(
    'svg',
    { ...properties, 'shape-rendering': 'crispEdges' },
    svg('rect', { width: '100%', height: '100%', fill: '#fff' }),
    svg('path', { d: path, fill: '#000' }),
  );
}
