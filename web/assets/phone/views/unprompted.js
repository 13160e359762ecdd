/** What is not to be shown and needs presence: the person is asked for that, and for nothing else. */

import { h } from '../../lib/dom.js';
import { PresenceDenied } from '../errors.js';
import { layout, sign } from '../screen.js';
import { failed, question } from './question.js';

/**
 * Accepts, which has the presence key's store ask the person.
 * @param {import('../screen.js').App} app
 * @param {import('../accounts.js').Question} asked
 * @returns {import('../screen.js').Screen}
 */
export function unprompted(app, asked) {
  const accept = async () => {
    try {
      await app.accounts.respond(asked, 'accept');
      app.next();
    } catch (cause) {
      // The person went elsewhere while they were asked for their presence.
      if (cause instanceof DOMException && cause.name === 'AbortError') return;
      // Whoever does not confirm may have something to say.
      if (!asked.entry.pending.has(asked.pending.id)) app.next();
      else app.show(cause instanceof PresenceDenied ? question(app, asked) : failed(app, asked, cause));
    }
  };
  void accept();
  return {
    element: layout({
      kind: 'message',
      lead: sign('finger'),
      title: 'One moment',
      body: h('p', 'You are asked to confirm.'),
    }),
  };
}
