/** The identity documents of a user: their hashes, and what a verification found. */
import { copyable, h } from '../../../lib/dom.js';
import { field, select } from '../../../lib/form.js';
import { shortId, time } from '../../../lib/format.js';
import { badge, choices, DOCUMENT_TYPES, stateBadge, VERIFICATION_STATUSES } from '../../names.js';
import { change } from '../../ui/dialogs.js';
import { button } from '../../ui/elements.js';

/** @typedef {import('../../page.js').Page} Page */
/** @typedef {{ id: string, hash: string, type: string, verificationStatus: string, verifiedAt?: string, createdAt: string, counts?: boolean }} Document */

const SERVICE = 'registry.v1.IdentityDocumentService';

/** The newest are of interest. */
const MOST = 20;

/**
 * Reads a user's documents, newest first.
 * @param {Page} page
 * @param {string} user
 * @returns {Promise<Document[]>}
 */
export async function readDocuments(page, user) {
  const answer = await page.read(`${SERVICE}/ListIdentityDocuments`, { userIdentifier: user, pageSize: MOST });
  return answer.identityDocuments ?? [];
}

/**
 * Shows them; null when there are none.
 * @param {Page} page
 * @param {Document[]} documents
 * @param {() => Promise<void>} reload
 */
export function documentsCard(page, documents, reload) {
  if (!documents.length) return null;
  return h(
    'section.card',
    { 'aria-label': 'Identity documents' },
    h(
      'header',
      h(
        'div.stack.tight',
        h('h2', 'Identity documents'),
        h('p.small.muted', 'Needed for level 3. Only a hash of each document is stored.'),
      ),
    ),
    h(
      'ul.list',
      documents.map((document) => item(page, document, reload)),
    ),
  );
}

/**
 * @param {Page} page
 * @param {Document} document
 * @param {() => Promise<void>} reload
 */
function item(page, { id, hash, type, verificationStatus, verifiedAt, createdAt, counts }, reload) {
  const verify = button('Set verification', () => setStatus(page, id, verificationStatus, reload), { look: 'small' });
  return h(
    'li.list-item',
    h(
      'div.grow.stack.tight',
      h(
        'div.row',
        DOCUMENT_TYPES[type] ?? type,
        stateBadge(VERIFICATION_STATUSES, verificationStatus),
        counts === false && badge({ text: 'Not certified: no level 3', tone: 'warn' }),
      ),
      h('span.small.muted', 'Hash ', copyable(hash, { label: 'hash', shown: shortId(hash) })),
      h('span.small.muted', 'Registered ', time(createdAt), verifiedAt && [', verified ', time(verifiedAt)]),
    ),
    page.mayAct && verify,
  );
}

/**
 * @param {Page} page
 * @param {string} id
 * @param {string} status
 * @param {() => Promise<void>} reload
 */
function setStatus(page, id, status, reload) {
  return change(
    {
      title: 'Set the verification of this document',
      body: field(
        'Result',
        select('verificationStatus', choices(VERIFICATION_STATUSES), status),
        'What a verification of the document found. It has no effect on levels.',
      ),
      submit: 'Save',
      act: (form) =>
        page.act(`${SERVICE}/SetVerificationStatus`, { id, verificationStatus: form.get('verificationStatus') }),
    },
    'Saved',
    reload,
  );
}
