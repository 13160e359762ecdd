/** How long a code lives, whatever the clock of this machine says. */

/** The lifetimes that a gateway can be set to end below and above these, in milliseconds. */
const SHORTEST = 10_000;
const LONGEST = 60_000;
/** `Date` has no fractions: the server may be up to a second further. */
const RESOLUTION = 1000;

/** A time that ends. It is over by the clock, which goes on while the machine sleeps, or by the timer, which nobody sets. */
export class Lifetime {
  #byClock;
  #byTimer;

  /** @param {number} milliseconds from now */
  constructor(milliseconds) {
    this.milliseconds = milliseconds;
    this.#byClock = Date.now() + milliseconds;
    this.#byTimer = performance.now() + milliseconds;
  }

  /**
   * The time until an end by the server's clock. Should the response not say what that was, this machine's has to do.
   * @param {number} end milliseconds
   * @param {string | null} date `Date` of the response
   */
  static until(end, date) {
    const now = Date.parse(date ?? '') + RESOLUTION || Date.now();
    return new Lifetime(Math.min(Math.max(end - now || 0, SHORTEST), LONGEST));
  }

  /** What is left of it, in milliseconds. Below zero once it is over. */
  get left() {
    return Math.min(this.#byClock - Date.now(), this.#byTimer - performance.now());
  }
}
