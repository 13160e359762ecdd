/** A prompt by which an operator finds out whether a user can be reached. */
import { ask } from '../../../lib/dialog.js';
import { h, toast } from '../../../lib/dom.js';
import { newRequestId } from '../../request_id.js';
import { go } from '../../router.js';
import { foreign } from '../../ui/elements.js';

/** What the phone shows. */
const SHOWN = { action: 'test', resource: 'Test by an operator. You can accept or reject it.' };

/**
 * Sends a test prompt after a confirmation, and shows what becomes of it.
 * @param {import('../../page.js').Page} page
 * @param {string} user
 */
export async function sendTestPrompt(page, user) {
  const requestId = newRequestId();
  const done = await ask({
    title: 'Send a test prompt?',
    body: [
      h('p', foreign(user)),
      h('p', 'All active devices of the user show it: “', SHOWN.action, '”, “', SHOWN.resource, '”'),
      h(
        'p',
        'Tell the user first. It counts like any other prompt: a rejection may pause further ones, and webhooks report the result.',
      ),
    ],
    submit: 'Send test prompt',
    act: () =>
      page.act('trusonafication.v1.TrusonaficationService/CreateTrusonafication', {
        requestId,
        userIdentifier: user,
        desiredLevel: 1,
        ...SHOWN,
      }),
  });
  if (!done) return;
  toast('Test prompt sent');
  go(page.address('trusonafication', { id: done.result.trusonafication.id }));
}
