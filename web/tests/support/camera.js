/** A camera that films the code on a page. */

import { writeFile } from 'node:fs/promises';

const WIDTH = 640;
const HEIGHT = 480;
/** The code's side, in pixels, and how far it is turned, in radians: nobody holds a phone straight. */
const SIDE = 380;
const TURN = 0.08;
const [WALL, PAPER, INK] = [120, 225, 30];

/**
 * What Chromium is started with to film a file.
 * @param {string} file
 */
export function filming(file) {
  return [
    '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream',
    `--use-file-for-fake-video-capture=${file}`,
  ];
}

/**
 * Films a QR code as it is drawn on a page, in YUV4MPEG2.
 * @param {import('@playwright/test').Locator} image of lib/qr.js
 * @param {string} file
 */
export async function film(image, file) {
  const size = Number((await image.getAttribute('viewBox'))?.split(' ')[2]);
  const isDark = modules(String(await image.locator('path').getAttribute('d')));
  const luma = Buffer.alloc(WIDTH * HEIGHT, WALL);
  const [cos, sin, scale] = [Math.cos(TURN), Math.sin(TURN), size / SIDE];
  for (let at = 0; at < luma.length; at += 1) {
    const [dx, dy] = [(at % WIDTH) - WIDTH / 2, Math.floor(at / WIDTH) - HEIGHT / 2];
    const x = Math.floor((dx * cos + dy * sin) * scale + size / 2);
    const y = Math.floor((dy * cos - dx * sin) * scale + size / 2);
    if (x >= 0 && y >= 0 && x < size && y < size) luma[at] = isDark(x, y) ? INK : PAPER;
  }
  const grey = Buffer.alloc(luma.length / 2, 128);
  const head = `YUV4MPEG2 W${WIDTH} H${HEIGHT} F10:1 Ip A1:1 C420mpeg2\n`;
  await writeFile(file, Buffer.concat([Buffer.from(`${head}FRAME\n`), luma, grey]));
}

/**
 * The dark modules of a path: runs in rows.
 * @param {string} path
 */
function modules(path) {
  /** @type {Set<string>} */
  const dark = new Set();
  for (const [, x, y, length] of path.matchAll(/M(\d+) (\d+)h(\d+)v1/g)) {
    for (let i = 0; i < Number(length); i += 1) dark.add(`${Number(x) + i} ${y}`);
  }
  return (/** @type {number} */ x, /** @type {number} */ y) => dark.has(`${x} ${y}`);
}
