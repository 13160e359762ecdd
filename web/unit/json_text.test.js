import assert from 'node:assert/strict';
import { test } from 'node:test';

import { indented, members, shown } from '../assets/lib/json_text.js';

const WRITTEN =
  '{"z":9007199254740993.0, "iban" : 12345678901234567890123,"10":"a\\u00e9\\"\\\\","2":[ 1.0 ,{"k\\u00e9y" : "\\\\\\" }"}],"n":null,"__proto__":-1E+2,"e":{},"z":1e2}';

test('people are shown the members in their order, numbers as they were written and texts as they read', () => {
  assert.deepEqual(
    members(WRITTEN).map(([name, value]) => [name, shown(value)]),
    [
      ['z', '9007199254740993.0'],
      ['iban', '12345678901234567890123'],
      ['10', 'aé"\\'],
      ['2', '[1.0,{"kéy":"\\\\\\" }"}]'],
      ['n', 'null'],
      ['__proto__', '-1E+2'],
      ['e', '{}'],
      ['z', '1e2'],
    ],
  );
  assert.deepEqual(members(' { } '), []);
});

test('over several lines it is what JSON.stringify makes of it, but for numbers', () => {
  const json = '{"a":[1.5,[],{},[[true]]],"b":{"c":{"d":"x:,{}[]\\""}},"e":""}';
  assert.equal(indented(json), JSON.stringify(JSON.parse(json), null, 2));
  assert.equal(indented('[1.0,\n 89370400440532013000]'), '[\n  1.0,\n  89370400440532013000\n]');
});

test('a megabyte is read, of whatever characters and however deep', () => {
  const long = ['x', '\\"', '\\\\', '\\u00e9', ',"', ' '].map((part) => JSON.stringify(part.repeat(1 << 18)));
  for (const text of long) {
    const [[name, value]] = members(`{"a":${text}}`);
    assert.equal(name, 'a');
    assert.equal(shown(value), JSON.parse(text));
    assert.equal(shown(`[${text}]`), `[${text}]`);
  }
  const deep = `${'['.repeat(1 << 18)}1.0${']'.repeat(1 << 18)}`;
  assert.equal(shown(members(`{"a":${deep}}`)[0][1]), deep);
});
