/** Dialogs of views: changes that are asked about first, and secrets, which are shown once and then forgotten. */
import { ask, tellOnce } from '../../lib/dialog.js';
import { copyable, h, toast } from '../../lib/dom.js';
import { icon } from '../../lib/icons.js';

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

/**
 * Shows secrets until the person says that they are kept.
 * @param {string} title
 * @param {string} text what they are for
 * @param {Record<string, string>} values by what they are called
 * @returns {Promise<void>}
 */
export function showSecrets(title, text, values) {
  const shown = Object.entries(values).map(([name, value]) =>
    h('div.stack.tight', h('h3.small', name), copyable(value, { label: name.toLowerCase(), block: true })),
  );
  const warning = h(
    'div.notice.warn',
    icon('alert'),
    h('p', 'The secret is shown only now. Copy it to where it is kept before you close this.'),
  );
  return tellOnce({ title, body: [h('p', text), warning, shown], done: 'I have saved it' });
}
