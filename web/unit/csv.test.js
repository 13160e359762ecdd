import assert from 'node:assert/strict';
import { test } from 'node:test';

import { csv } from '../assets/console/csv/write.js';

test('a table is written with its head, and what is special is quoted', () => {
  const rows = [
    ['1', 'x, "y"\nz'],
    ['', 'ü'],
  ];
  assert.equal(csv(['a', 'b'], rows), 'a,b\r\n1,"x, ""y""\nz"\r\n,ü\r\n');
});

test('no cell begins as a formula does', () => {
  const begins = ['=', '+', '-', '@', '＝', '＋', '－', '＠', ' =', '\u00a0\u200b=', '\ufeff@', '\u0000\u202e-'];
  for (const begin of begins) assert.equal(csv([], [[`${begin}1`]]), `\r\n'${begin}1\r\n`);
  for (const begin of ['\t', '\r', '\n', '\r\n', '\n ']) assert.equal(csv([], [[`${begin}1`]]), `\r\n"'${begin}1"\r\n`);
  assert.equal(csv([], [['"=1']]), '\r\n"\'""=1"\r\n');
});

test('no cell has what begins as a formula does after what may separate cells', () => {
  for (const separator of [';', '\t', '\n', '\r'])
    for (const begin of ['=', ' ＋', '\u200b@'])
      assert.equal(csv([], [[`a${separator}${begin}1`]]), `\r\n"a${separator}'${begin}1"\r\n`);
  assert.equal(csv([], [['a;"=1']]), '\r\n"a;\'""=1"\r\n');
  assert.equal(csv([], [['=1;=2\n=3']]), "\r\n\"'=1;'=2\n'=3\"\r\n");
});

test('what may separate cells is quoted, and nothing else is changed', () => {
  assert.equal(csv([], [['a;b', 'c\td', 'e f', 'g=h@i-j +k']]), '\r\n"a;b","c\td",e f,g=h@i-j +k\r\n');
});

test('long space is read once', () => {
  for (const part of [' ', '\n', ';', '"']) assert.ok(csv([], [[part.repeat(1 << 18)]]));
});
