/** Importing users from a CSV file: checked in the browser, tried by the service if wanted, then imported, all or none. */
import { ask, tell } from '../../../lib/dialog.js';
import { h, replace } from '../../../lib/dom.js';
import { clearRefusal, field, showRefusal } from '../../../lib/form.js';
import { counted } from '../../../lib/format.js';
import { utf8 } from '../../../lib/jose.js';
import { plain } from '../../../lib/plain.js';
import { Problem } from '../../../lib/problem.js';
import { digest, messagesOf } from '../../import/messages.js';
import { COLUMNS, readRows } from '../../import/rows.js';
import { button, codeBlock } from '../../ui/elements.js';

/** @typedef {import('../../page.js').Page} Page */
/** @typedef {import('../../import/rows.js').Row} Row */
/** @typedef {import('../../csv/read.js').Fault} Fault */
/** @typedef {{ changed?: number, unchanged?: number, faults?: { line?: number, reason: string, message: string }[] }} Answer */

const METHOD = 'binding.v1.ImportService/ImportUsers';
/** The largest file, in bytes. */
const LARGEST = 8 << 20;
/** The maximum size of all messages as JSON, in bytes: the gateway accepts 8 MiB. */
const MOST = 8 << 20;
const whole = new Intl.NumberFormat('en');
/** The maximum number of faults that are shown. */
const SHOWN = 100;

/**
 * Imports users. Resolves to whether anything was imported.
 * @param {Page} page
 * @returns {Promise<boolean>}
 */
export async function importUsers(page) {
  const file = h('input', { type: 'file', name: 'file', accept: '.csv,text/csv', required: true });
  const report = h('div.stack.tight', { role: 'status' });
  const form = { page, file, report };
  /** The dry run that is under way, if any: an import waits for it. */
  let trying = Promise.resolve();
  const dryRun = button('Dry run', () => dryRun.ariaBusy !== 'true' && (trying = tryOut()), { look: 'small' });
  file.addEventListener('change', () => {
    clear();
    void showCheck(form);
  });
  const done = await ask({
    title: 'Import users',
    body: [
      h('p', 'Imports users and their devices from a CSV file: all rows or, if any row has an error, none.'),
      field('File', file, `UTF-8, at most 50,000 rows. The first line names the columns: ${COLUMNS.join(', ')}.`),
      report,
      h('div.row', dryRun),
      h(
        'p.hint',
        'A dry run changes nothing and reports what an import would do. Both require confirmation on your phone.',
      ),
    ],
    submit: 'Import',
    act: async () => {
      await trying;
      return send(form, false);
    },
  });
  if (!done) return false;
  await tell({ title: 'Users imported', body: h('p', summary(done.result, 'imported')) });
  return true;

  async function tryOut() {
    dryRun.ariaBusy = 'true';
    const [around, place] = clear();
    try {
      replace(report, h('p', `Dry run: ${summary(await send(form, true), 'would be imported')}`));
    } catch (cause) {
      showRefusal(around, place, cause);
    } finally {
      dryRun.ariaBusy = null;
    }
  }

  /** Removes the last refusal; returns the form and where it shows one. */
  function clear() {
    const around = /** @type {HTMLFormElement} */ (dryRun.form);
    const place = /** @type {HTMLElement} */ (around.querySelector('.refusal'));
    clearRefusal(around, place);
    return /** @type {const} */ ([around, place]);
  }
}

/** @typedef {{ page: Page, file: HTMLInputElement, report: Element }} Form */

/**
 * Checks the file and has the service import it.
 * @param {Form} form
 * @param {boolean} dryRun
 * @returns {Promise<Answer>}
 */
async function send(form, dryRun) {
  const messages = messagesOf(await check(form), dryRun);
  if (utf8(JSON.stringify(messages)).length > MOST) throw tooLarge();
  const sent = form.page.actByStream(METHOD, messages, await digest(messages));
  const answer = /** @type {Answer} */ (
    await sent.catch((cause) => Promise.reject(dryRun ? cause : unanswered(cause)))
  );
  const faults = (answer.faults ?? []).map(({ line = 0, reason, message }) => ({
    line,
    message: `${message} (${reason})`,
  }));
  if (faults.length) throw faulty(form.report, faults);
  return answer;
}

/**
 * Replaces a failure that leaves open whether the users were imported.
 * @param {unknown} cause
 */
function unanswered(cause) {
  if (!(cause instanceof Problem && cause.mayBeDone)) return cause;
  const text =
    'No answer. The users may have been imported. Import the file again: what exists already stays as it is.';
  return new Problem(cause.status, cause.error, text, { cause });
}

/**
 * Reads the chosen file; shows what is wrong with its lines.
 * @param {Form} form
 * @returns {Promise<Row[]>}
 */
async function check({ file, report }) {
  const chosen = file.files?.[0];
  if (!chosen) throw refused('Choose a file.');
  if (chosen.size > LARGEST) throw tooLarge();
  const bytes = await chosen.arrayBuffer().catch(() => {
    throw refused('The file cannot be read. Choose it again.');
  });
  const { rows, faults } = readRows(new Uint8Array(bytes));
  if (faults.length) throw faulty(report, faults);
  return rows;
}

/**
 * Checks the file as soon as it is chosen, and shows how much it is.
 * @param {Form} form
 */
async function showCheck(form) {
  const chosen = form.file.files?.[0];
  replace(form.report);
  try {
    const rows = await check(form);
    if (chosen !== form.file.files?.[0]) return;
    const users = new Set(rows.map(({ userIdentifier }) => userIdentifier)).size;
    const bound = rows.filter(({ deviceIdentifier }) => deviceIdentifier);
    const active = bound.filter((row) => row.active).length;
    const named = rows.filter(({ trusonaId }) => trusonaId).length;
    const text = `${counted(rows.length, 'row')}: ${counted(users, 'user')}, ${counted(bound.length, 'device')} (${active} active), ${counted(named, 'Trusona ID')}.`;
    replace(form.report, h('p', text));
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    // An error of the file itself is shown when it is sent.
  }
}

/** @param {string} text */
function refused(text) {
  return new Problem(422, 'VALIDATION_FAILED', 'the file is not valid', { fieldErrors: { file: [text] } });
}

function tooLarge() {
  return refused('The file is too large. Split it, or use nodkey admin import.');
}

/**
 * Shows faults by line.
 * @param {Element} report
 * @param {Fault[]} faults
 */
function faulty(report, faults) {
  const lines = faults.slice(0, SHOWN).map(({ line, message }) => `Line ${line}: ${plain(message)}`);
  const more = faults.length > SHOWN && h('p', `And ${faults.length - SHOWN} more.`);
  replace(
    report,
    h('p', `${counted(faults.length, 'line')} with errors:`),
    codeBlock('Errors', lines.join('\n')),
    more,
  );
  return new Problem(
    422,
    'VALIDATION_FAILED',
    'Nothing was imported. Correct the lines below, and choose the file again.',
  );
}

/**
 * @param {Answer} answer
 * @param {string} verb
 */
function summary({ changed = 0, unchanged = 0 }, verb) {
  return `${whole.format(changed)} ${verb}, ${whole.format(unchanged)} ${unchanged === 1 ? 'exists' : 'exist'} already.`;
}
