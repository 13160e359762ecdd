/** The remaining time, as a ring and in figures. */

import { h, svg } from './dom.js';

const RADIUS = 20;
const LENGTH = 2 * Math.PI * RADIUS;
const TICK = 250;

/**
 * Counts down, and calls `onOver` at the end unless it was stopped. Styled by countdown.css.
 * @param {object} span
 * @param {number} span.start milliseconds
 * @param {number} span.end milliseconds
 * @param {() => number} [span.now] milliseconds
 * @param {string} [span.label] what the time is for, for screen readers
 * @param {() => void} span.onOver
 */
export function countdown({ start, end, now = Date.now, label = 'Time left', onOver }) {
  const circle = { cx: 24, cy: 24, r: RADIUS, 'stroke-width': 3 };
  const arc = svg('circle', { ...circle, 'stroke-dasharray': LENGTH });
  const figures = h('span.figures.num');
  const ring = svg('svg', { class: 'ring', viewBox: '0 0 48 48' }, svg('circle', { ...circle, class: 'track' }), arc);
  const element = h('div.countdown', { role: 'timer', 'aria-label': label }, ring, figures);

  const tick = () => {
    const left = Math.max(0, end - now());
    arc.setAttribute('stroke-dashoffset', String(LENGTH * (1 - left / Math.max(end - start, 1))));
    figures.textContent = inFigures(Math.ceil(left / 1000));
    element.classList.toggle('short', left < 15_000);
    if (left > 0) return;
    stop();
    // Asynchronously: the caller has yet to show the countdown.
    queueMicrotask(onOver);
  };
  const timer = setInterval(tick, TICK);
  const stop = () => clearInterval(timer);
  tick();
  return { element, stop };
}

/** @param {number} seconds */
function inFigures(seconds) {
  if (seconds < 100) return String(seconds);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
