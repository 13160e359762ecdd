/**
 * Formats times, numbers and identifiers.
 */
import { h } from './dom.js';

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'short' });
const integer = new Intl.NumberFormat('en');
const UNITS = /** @type {const} */ ([
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]);

/**
 * Formats a time relative to now: "5 min ago", "in 2 days".
 * @param {Date} date
 * @param {Date} [now]
 * @returns {string}
 */
export function ago(date, now = new Date()) {
  const seconds = Math.round((date.getTime() - now.getTime()) / 1000);
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return written(Math.trunc(seconds / size), unit);
  }
  if (Math.abs(seconds) < 5) return 'now';
  return written(seconds, 'second');
}

/**
 * @param {number} count
 * @param {Intl.RelativeTimeFormatUnit} unit
 */
function written(count, unit) {
  return relative.format(count, unit).replace('.', '');
}

/**
 * Formats a time to the second, in the reader's time zone.
 * @param {Date} date
 * @returns {string}
 */
export function exactly(date) {
  return exact.format(date);
}

/**
 * Shows a time relative to now, with the exact time as its title. `refreshTimes` keeps it current.
 * @param {string | number | Date} at
 * @returns {HTMLTimeElement}
 */
export function time(at) {
  const date = new Date(at);
  return h('time.ago', { datetime: date.toISOString(), title: exactly(date) }, ago(date));
}

/** Updates every time that is shown relative to now. */
export function refreshTimes() {
  for (const element of document.querySelectorAll('time.ago')) {
    element.textContent = ago(new Date(/** @type {HTMLTimeElement} */ (element).dateTime));
  }
}

/**
 * Formats a duration: "850 ms", "12.4 s", "3 min 20 s", "2 h 5 min", "4 d 3 h".
 * @param {number} milliseconds
 * @returns {string}
 */
export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return both(whole, 60, 'min', 1, 's');
  if (whole < 86_400) return both(whole, 3600, 'h', 60, 'min');
  return both(whole, 86_400, 'd', 3600, 'h');
}

/**
 * @param {number} seconds
 * @param {number} large
 * @param {string} largeName
 * @param {number} small
 * @param {string} smallName
 */
function both(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ''}`;
}

/**
 * Formats a number of things: "1 row", "2,000 rows".
 * @param {number} number
 * @param {string} noun of one
 * @returns {string}
 */
export function counted(number, noun) {
  return `${integer.format(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/**
 * Shortens an identifier to its beginning and its end.
 * @param {string} id
 * @returns {string}
 */
export function shortId(id) {
  return id.length > 14 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id;
}
