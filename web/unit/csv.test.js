import assert from 'node:assert/strict';
import { test } from 'node:test';

import { csv } from '../assets/console/ui/csv.js';

test('a table is written with its head, and what is special is quoted', () => {
  const rows = [
    ['1', 'x, "y"\nz'],
    ['', 'ü'],
  ];
  assert.equal(csv(['a', 'b'], rows), 'a,b\r\n1,"x, ""y""\nz"\r\n,ü\r\n');
});

test('no cell begins as a formula does', () => {
  for (const begin of ['=', '+', '-', '@', '\t']) assert.equal(csv([], [[`${begin}1`]]), `\r\n'${begin}1\r\n`);
  assert.equal(csv([], [['\r1']]), '\r\n"\'\r1"\r\n');
});
