/**
 * Icons: 16 by 16, in the color of the text, hidden from screen readers.
 */

/** @typedef {keyof typeof PATHS} IconName */

const PATHS = {
  activity: 'M1.5 8h3L6.5 3l3 10L11.5 8h3',
  alert:
    'M8 5.25v3.25M8 11h.01M7 2.3 1.6 11.6a1.15 1.15 0 0 0 1 1.7h10.8a1.15 1.15 0 0 0 1-1.7L9 2.3a1.15 1.15 0 0 0-2 0Z',
  arrowLeft: 'M13 8H3m4-4L3 8l4 4',
  ban: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM3.8 3.8l8.4 8.4',
  building:
    'M3 14V3.2A1.2 1.2 0 0 1 4.2 2h4.6A1.2 1.2 0 0 1 10 3.2V14m0-8h1.8A1.2 1.2 0 0 1 13 7.2V14M1.5 14h13M5.5 5h2m-2 3h2m-2 3h2',
  check: 'm3 8.5 3.25 3.25L13 5',
  chevronDown: 'm4 6 4 4 4-4',
  chevronLeft: 'm10 4-4 4 4 4',
  chevronRight: 'm6 4 4 4-4 4',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 5v3l2 1.5',
  close: 'm4 4 8 8m0-8-8 8',
  copy: 'M5.5 5.5v-2A1.5 1.5 0 0 1 7 2h5.5A1.5 1.5 0 0 1 14 3.5V9a1.5 1.5 0 0 1-1.5 1.5h-2M3.5 5.5H9A1.5 1.5 0 0 1 10.5 7v5.5A1.5 1.5 0 0 1 9 14H3.5A1.5 1.5 0 0 1 2 12.5V7a1.5 1.5 0 0 1 1.5-1.5Z',
  edit: 'M9.5 3.5 12.5 6.5M2.5 13.5l.6-3L10.4 3.2a1.3 1.3 0 0 1 1.8 0l.6.6a1.3 1.3 0 0 1 0 1.8L5.5 12.9l-3 .6Z',
  finger:
    'M3 6.5a5.2 5.2 0 0 1 9-2M13.3 7.5c.2 1.8 0 3.2-.3 4.5M10.8 7.5a2.8 2.8 0 0 0-5.6 0c0 1.7-.2 3-1 4.3M8 7.5c0 2.6-.4 4.5-1.3 6.2M10.8 10c-.1 1.5-.4 2.8-.9 4',
  globe:
    'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM2 8h12M8 2c2 1.8 2.7 3.8 2.7 6S10 12.2 8 14c-2-1.8-2.7-3.8-2.7-6S6 3.8 8 2Z',
  info: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.5V11M8 5h.01',
  key: 'M10.25 9a3.25 3.25 0 1 0-3.08-2.2L2.5 11.5v2h2.25v-1.5h1.5v-1.5L7.6 9.2A3.23 3.23 0 0 0 10.25 9ZM11 5.25h.01',
  lock: 'M4.5 7V5a3.5 3.5 0 0 1 7 0v2M4 7h8a1 1 0 0 1 1 1v5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1Z',
  menu: 'M2.5 4.5h11M2.5 8h11m-11 3.5h11',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  phone:
    'M5.5 1.5h5A1.5 1.5 0 0 1 12 3v10a1.5 1.5 0 0 1-1.5 1.5h-5A1.5 1.5 0 0 1 4 13V3a1.5 1.5 0 0 1 1.5-1.5ZM7.25 12.25h1.5',
  plus: 'M8 3v10M3 8h10',
  qr: 'M2.5 2.5h4v4h-4v-4Zm7 0h4v4h-4v-4Zm-7 7h4v4h-4v-4Zm7 0h1.5v1.5M13.5 9.5v.01M13.5 13.5h-1.5M9.5 13.5v.01',
  refresh: 'M13.5 3v3.5H10M2.5 13V9.5H6M3.2 6.3A5 5 0 0 1 12 4.7l1.5 1.8M12.8 9.7A5 5 0 0 1 4 11.3L2.5 9.5',
  rotate: 'M13.5 3v3.5H10M13.2 9.5A5.4 5.4 0 1 1 12 4.6l1.5 1.9',
  scroll: 'M4 2.5h6.5L13 5v8a.8.8 0 0 1-.8.8H3.8A.8.8 0 0 1 3 13V3.5a1 1 0 0 1 1-1ZM5.5 7h5m-5 2.5h5m-5-5h2.5',
  search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.7 10.7 14 14',
  send: 'M14 2 7.25 8.75M14 2l-4.25 12-2.5-5.25L2 6.25 14 2Z',
  settings: 'M2 4.5h6m4 0h2M2 11.5h2m4 0h6M10 6.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM6 13.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z',
  shield: 'M8 1.8 2.8 3.7v4c0 3.1 2.2 5.4 5.2 6.5 3-1.1 5.2-3.4 5.2-6.5v-4L8 1.8Zm-2.3 6 1.7 1.7 3-3.2',
  signOut: 'M6.5 13.5h-3a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1h3M10.5 11l3-3-3-3M13.5 8h-7',
  trash: 'M2.5 4.5h11M6 4.5V3a1 1 0 0 1 1-1h2a1 1 0 0 1 1 1v1.5M4 4.5l.6 8.1a1 1 0 0 0 1 .9h4.8a1 1 0 0 0 1-.9l.6-8.1',
  user: 'M8 8a2.75 2.75 0 1 0 0-5.5A2.75 2.75 0 0 0 8 8ZM2.8 13.7C3.3 11.5 5.4 10 8 10s4.7 1.5 5.2 3.7',
  users:
    'M6 7.75a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM1.5 13.25c.4-2 2.2-3.25 4.5-3.25s4.1 1.25 4.5 3.25M10.5 2.9a2.5 2.5 0 0 1 0 4.7M12.2 10.3c1.3.5 2.1 1.5 2.3 2.95',
  webhook:
    'M6.2 5.9A2.5 2.5 0 1 1 10 4.5M6.2 5.9 4.2 9.6M10.3 9.2A2.5 2.5 0 1 1 9.5 12.5M10.3 9.2 8.3 5M4.5 8.7A2.5 2.5 0 1 0 6 11.25h4',
};

/**
 * Draws an icon.
 * @param {IconName} name
 * @param {number} [size] pixels
 * @returns {SVGSVGElement}
 */
export function icon(name, size = 16) {
  return drawing(16, size, { 'stroke-width': 1.5, d: PATHS[name] });
}

/**
 * Draws the logo's mark: a key that nods.
 * @param {number} [size] pixels
 * @returns {SVGSVGElement}
 */
export function mark(size = 24) {
  const d =
    'M16.6 11.9a4.5 4.5 0 1 0-4.5-4.5 4.5 4.5 0 0 0 4.5 4.5ZM13.4 10.6 4.5 19.5M8.2 15.8l2.8 2.8M4.5 19.5l2.8 2.8';
  return drawing(24, size, { 'stroke-width': 2.5, d });
}

/**
 * @param {number} box
 * @param {number} size
 * @param {Record<string, string | number>} attributes
 */
function drawing(box, size, attributes) {
  const namespace = 'http://www.w3.org/2000/svg';
  const root = document.createElementNS(namespace, 'svg');
  const path = document.createElementNS(namespace, 'path');
  const outer = { viewBox: `0 0 ${box} ${box}`, width: size, height: size, fill: 'none', 'aria-hidden': 'true' };
  for (const [name, value] of Object.entries(outer)) root.setAttribute(name, String(value));
  const stroke = { stroke: 'currentColor', 'stroke-linecap': 'round', 'stroke-linejoin': 'round' };
  for (const [name, value] of Object.entries({ ...stroke, ...attributes })) path.setAttribute(name, String(value));
  root.append(path);
  return root;
}
