import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decode, parse } from '../assets/console/csv/read.js';
import { digest, messagesOf } from '../assets/console/import/messages.js';
import { readRows } from '../assets/console/import/rows.js';
import { utf8 } from '../assets/lib/jose.js';

/** @param {string} text */
const values = (text) => parse(text).records.map((record) => record.values);
/** @param {string} text */
const lines = (text) => parse(text).records.map(({ line }) => line);
/** @param {string} text */
const faults = (text) => readRows(utf8(text)).faults.map(({ line, message }) => `${line}: ${message}`);

test('CSV is read with quotes, line breaks within them, and line ends of any system', () => {
  assert.deepEqual(values('a,b\r\n"x, ""y""\nz",ü\n , c \r"",d'), [
    ['a', 'b'],
    ['x, "y"\nz', 'ü'],
    ['', 'c'],
    ['', 'd'],
  ]);
  assert.deepEqual(values('a,\n'), [['a', '']]);
  assert.deepEqual(values('a"b,c'), [['a"b', 'c']]);
  assert.deepEqual(values(''), []);
});

test('a record has the number of the line where it begins, whatever lines are before it', () => {
  assert.deepEqual(lines('a\n\n\r\n"b\nc\r\nd"\ne\r\rf'), [1, 4, 7, 9]);
});

test('faults of CSV have the number of their line, and what follows is read', () => {
  const { records, faults } = parse('a\n"b"c\nd\n"e\nf\n');
  assert.deepEqual(
    records.map((record) => record.values),
    [['a'], ['d']],
  );
  assert.deepEqual(faults, [
    { line: 2, message: 'there is text after a closing quote' },
    { line: 4, message: 'a quote is not closed' },
  ]);
});

test('a byte order mark is no part of the text, and lines that are not UTF-8 are at fault', () => {
  assert.equal(decode(utf8('\ufeffa')).text, 'a');
  const bytes = Uint8Array.from([...utf8('a\nü\n'), 0xff, 10, ...utf8('b\n'), 0xc3]);
  assert.deepEqual(
    decode(bytes).faults.map(({ line }) => line),
    [3, 5],
  );
});

test('columns come in any order and may be missing, and default values are left out', () => {
  const file = '\ufeffactive,user_identifier,device_identifier\r\ntrue,ada,d\r\n,"b, ob",\r\nfalse,eve,e\r\n';
  assert.deepEqual(readRows(utf8(file)), {
    rows: [
      { line: 2, userIdentifier: 'ada', deviceIdentifier: 'd', active: true },
      { line: 3, userIdentifier: 'b, ob' },
      { line: 4, userIdentifier: 'eve', deviceIdentifier: 'e' },
    ],
    faults: [],
  });
});

test('every line at fault is reported with its number, in order, and there are no rows then', () => {
  const file = 'user_identifier,device_identifier,active\nada,d,yes\nbob\ncarol,d,true\n"x"y,d,\neve,d,true\n';
  assert.deepEqual(faults(file), [
    '2: active must be true, false or empty, not “yes”',
    '3: it has 1 value, but there are 3 columns',
    '5: there is text after a closing quote',
  ]);
  assert.deepEqual(readRows(utf8(file)).rows, []);
});

test('a file without the right columns or without rows is refused', () => {
  assert.match(faults('user,device_identifier\nada,d\n')[0], /^1: there is no column “user”/);
  assert.deepEqual(faults('device_identifier\nd\n'), ['1: it must name the column user_identifier']);
  assert.match(faults('user_identifier,user_identifier\na,b\n')[0], /more than once/);
  assert.deepEqual(faults('user_identifier\n'), ['1: no rows follow the column names']);
  assert.deepEqual(faults(''), ['1: the file is empty']);
  assert.deepEqual(faults('"user_identifier"x\nada\n'), ['1: there is text after a closing quote']);
  assert.deepEqual(faults('\n"user_identifier\nada\n'), ['2: a quote is not closed']);
});

test('50,000 rows are read, and no more', () => {
  const file = (/** @type {number} */ rows) => `user_identifier\n${'ada\n'.repeat(rows)}`;
  assert.equal(readRows(utf8(file(50_000))).rows.length, 50_000);
  assert.deepEqual(faults(file(50_001)), ['50002: a file may have at most 50,000 rows: split it']);
});

/** The gateway calculates the same: see services/gateway/src/console/messages.rs. */
test('the digest is that of what the gateway sends', async () => {
  const messages = [
    {
      rows: [
        { line: 2, userIdentifier: 'ada', deviceIdentifier: 'd', active: /** @type {const} */ (true) },
        { line: 300, userIdentifier: 'bjørn' },
      ],
    },
    { rows: [{ line: 301, userIdentifier: 'c', trusonaId: '123456789' }], dryRun: /** @type {const} */ (true) },
  ];
  assert.equal(await digest(messages), 'tmM4gGOU__QWTXQNXQIpbbHbmxewK5FesBnCLpOPCmc');
});

test('messages are small enough for the gateway and hold every row', () => {
  const rows = Array.from({ length: 2_000 }, (_, line) => ({
    line,
    userIdentifier: line < 1_000 ? 'ada' : 'ä'.repeat(255),
  }));
  const messages = messagesOf(rows, true);
  for (const message of messages) {
    assert.equal(message.dryRun, true);
    assert.ok(utf8(JSON.stringify(message)).length < 64 << 10);
  }
  assert.ok(messages.length > 3);
  assert.deepEqual(
    messages.flatMap((message) => message.rows),
    rows,
  );
  assert.equal(messagesOf(rows.slice(0, 1), false)[0].dryRun, undefined);
});
