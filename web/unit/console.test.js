import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

/** @type {Map<string, string>} */
const stored = new Map();
/** @type {Record<string, () => Response>} */
let answers = {};

Object.assign(globalThis, {
  localStorage: {
    getItem: (/** @type {string} */ name) => stored.get(name) ?? null,
    setItem: (/** @type {string} */ name, /** @type {string} */ value) => void stored.set(name, value),
  },
  fetch: async (/** @type {string} */ path) => answers[path.split('/').at(-1) ?? '']?.() ?? Response.json({}),
});

const { chooseRelyingParty, loadRelyingParties } = await import('../assets/console/relying_parties.js');
const { findThere } = await import('../assets/console/search/find.js');

const CHOSEN = 'nodkey-relying-party';
const { signal } = new AbortController();

beforeEach(() => {
  answers = {
    ListRelyingParties: () => Response.json({ relyingParties: [{ id: 'one' }, { id: 'two' }, { id: 'three' }] }),
  };
});

test('a page acts for the relying party that was chosen on it, whatever other pages choose', async () => {
  stored.set(CHOSEN, 'two');
  await loadRelyingParties();
  assert.equal(chooseRelyingParty(), 'two');
  stored.set(CHOSEN, 'three');
  assert.equal(chooseRelyingParty(), 'two');
  assert.equal(chooseRelyingParty('one'), 'one');
  assert.equal(stored.get(CHOSEN), 'one');
  stored.set(CHOSEN, 'three');
  assert.equal(chooseRelyingParty(''), 'one');
});

test('a relying party that is not known is not remembered', async () => {
  await loadRelyingParties();
  assert.equal(chooseRelyingParty('two'), 'two');
  assert.equal(chooseRelyingParty('nobody'), 'nobody');
  assert.equal(stored.get(CHOSEN), 'two');
  assert.equal(chooseRelyingParty(''), 'two');
  assert.equal(chooseRelyingParty(), 'two');
});

test('a search has what was found, and names what could not be searched', async () => {
  answers.ListUsers = () => Response.json({ users: [{ userIdentifier: 'ada', devices: 1 }] });
  answers.ListDevices = () => Response.json({ error: 'UNAVAILABLE', message: 'try again' }, { status: 503 });
  const { found, failed } = await findThere({ text: 'ada', relyingParty: 'one', signal });
  assert.deepEqual(
    found.map(({ kind, text }) => [kind, text]),
    [['User', 'ada']],
  );
  assert.deepEqual(
    failed.map(({ what, cause }) => [what, cause.error]),
    [['devices', 'UNAVAILABLE']],
  );
});
