/** A request that is not shown but requires presence: the person confirms only that. */

import { h } from '../../lib/dom.js';
import { PresenceDenied } from '../errors.js';
import { layout, sign } from '../screen.js';
import { failed, prompt } from './prompt.js';

/**
 * Accepts, for which the presence key's store has the person confirm.
 * @param {import('../screen.js').App} app
 * @param {import('../accounts.js').Prompt} request
 * @returns {import('../screen.js').Screen}
 */
export function unprompted(app, request) {
  const accept = async () => {
    try {
      await app.accounts.respond(request, 'accept');
      app.next();
    } catch (cause) {
      // The person left while they were to confirm their presence.
      if (cause instanceof DOMException && cause.name === 'AbortError') return;
      // A person who does not confirm may want to reject.
      if (!request.entry.pending.has(request.pending.id)) app.next();
      else app.show(cause instanceof PresenceDenied ? prompt(app, request) : failed(app, request, cause));
    }
  };
  void accept();
  return {
    element: layout({
      kind: 'message',
      lead: sign('finger'),
      title: 'One moment',
      body: h('p', 'Confirm on this device.'),
    }),
  };
}
