/** How the deployment is, asked for again and again while somebody looks. */
import { pause } from '../../lib/pause.js';
import { Problem } from '../../lib/problem.js';
import { getStatus } from '../api.js';
import { alarms } from './alarms.js';
import { measure } from './measure.js';

/** Milliseconds between two questions; the first follow one another faster, so that there is a line to be seen. */
const INTERVAL = 5000;
const FIRST = { count: 3, interval: 1500 };
/** How many measurements are kept: 20 minutes of them. */
const MOST = 240;

/** The latest answer and the measurements since the page was opened. Tells by the event `change`. */
class Health extends EventTarget {
  /** @type {import('../api.js').Process[]} */
  processes = [];
  /** @type {import('./measure.js').Measurement[]} */
  measurements = [];
  /** @type {Problem | null} Why there is no answer. */
  problem = null;

  /** What needs attention, by the latest measurement. */
  get alarms() {
    const latest = this.measurements.at(-1);
    return latest ? alarms(latest) : [];
  }

  /** Whether every process is ready and nothing needs attention, as far as is known. */
  get isWell() {
    return !this.problem && this.processes.every(({ ready }) => ready) && !this.alarms.length;
  }

  /** Asks once. */
  async ask() {
    try {
      this.processes = await getStatus(AbortSignal.timeout(2 * INTERVAL));
      this.problem = null;
      this.measurements = [...this.measurements, measure(this.processes, Date.now())].slice(-MOST);
    } catch (cause) {
      this.problem =
        cause instanceof Problem ? cause : new Problem(0, 'TIMEOUT', 'The server takes too long to answer.');
    }
    this.dispatchEvent(new Event('change'));
  }
}

export const health = new Health();

/**
 * Asks from now on, while the page is to be seen.
 * @param {AbortSignal} signal ends it
 * @returns {Promise<void>}
 */
export async function watchHealth(signal) {
  while (!signal.aborted) {
    if (!document.hidden) await health.ask();
    const early = health.measurements.length < FIRST.count;
    await pause(early ? FIRST.interval : INTERVAL, signal).catch(() => {});
  }
}
