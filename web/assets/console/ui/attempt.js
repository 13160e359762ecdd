/** Attempts to deliver. */
import { h } from '../../lib/dom.js';
import { duration } from '../../lib/format.js';

/**
 * Says how an attempt went: what the receiver answered, or why there was no answer, and after how long.
 * @param {import('../types.js').Attempt} attempt
 */
export function attemptText({ statusCode, error, durationMs = '0' }) {
  const outcome = [statusCode && `HTTP ${statusCode}`, error].filter(Boolean).join(', ');
  const well = statusCode && statusCode >= 200 && statusCode < 300 && !error;
  return h('span', h('span.tone', { class: well ? 'ok' : 'bad' }, outcome), ` after ${duration(Number(durationMs))}`);
}
