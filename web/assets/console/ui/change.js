/** Changes that are asked about first. */
import { ask } from '../../lib/dialog.js';
import { toast } from '../../lib/dom.js';

/**
 * Asks; when it was done, says so and shows what is there now.
 * @param {Parameters<typeof ask>[0]} question
 * @param {string} said
 * @param {() => Promise<void>} reload
 * @returns {Promise<void>}
 */
export async function change(question, said, reload) {
  if (!(await ask(question))) return;
  toast(said);
  await reload();
}
