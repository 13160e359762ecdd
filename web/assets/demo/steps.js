/** The numbered steps of the demo, above its views. */

import { h, replace } from '../lib/dom.js';
import { icon } from '../lib/icons.js';

/** The steps in order. The server's calls are grouped by their numbers, from 1. */
export const STEPS = ['Set up a phone', 'Sign in', 'Confirm a transfer', 'Verify the proof'];

/** Shows which steps are done and which one is next. */
export class Steps {
  #list;
  #done = 0;

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#list = h('ol');
    replace(place, this.#list);
    this.reset(0);
  }

  /**
   * Marks this many steps as done, if fewer were.
   * @param {number} done
   */
  reach(done) {
    if (done > this.#done) this.reset(done);
  }

  /**
   * Marks exactly this many steps as done.
   * @param {number} done
   */
  reset(done) {
    this.#done = done;
    replace(
      this.#list,
      STEPS.map((name, i) => {
        const isDone = i < done;
        const state = { class: isDone ? 'done' : '', 'aria-current': i === done ? 'step' : null };
        const sign = isDone ? [icon('check'), h('span.visually-hidden', 'Done:')] : String(i + 1);
        return h('li', state, h('span.number', sign), name);
      }),
    );
  }
}
