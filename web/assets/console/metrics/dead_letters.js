/** The events that consumers gave up, of all processes together. */

/** @typedef {import('../api.js').DeadLetter} DeadLetter */

/**
 * The dead letters of all processes, each once: replicas share a database.
 * @param {{ dead_letters?: DeadLetter[] }[]} processes
 * @returns {DeadLetter[]} newest first
 */
export function deadLetters(processes) {
  const all = new Map(
    processes
      .flatMap(({ dead_letters = [] }) => dead_letters)
      .map((letter) => [`${letter.consumer} ${letter.event_id}`, letter]),
  );
  return [...all.values()].sort((a, b) => b.given_up_at.localeCompare(a.given_up_at));
}
