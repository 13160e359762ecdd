import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

import { NAMED, bundle, currentVersion, integrity, named, servedVersions } from '../build.js';

const here = new URL('../', import.meta.url);
const top = new URL('../../', here);

/** What a page may have to load, in bytes. README.md says it in kilobytes. */
const BUDGET = { plain: 30_500, compressed: 13_000 };

test('what is served is what the sources say', async () => {
  const { latest } = await servedVersions();
  assert.equal(latest, await currentVersion());
  const served = await readFile(new URL(`served/${latest}.js`, here));
  assert.ok(served.equals(await bundle()), 'run: npm run build');
});

test('every version has the hash that is listed', async () => {
  const { versions } = await servedVersions();
  for (const [version, { path, integrity: listed, bytes }] of Object.entries(versions)) {
    const script = await readFile(new URL(`served/${version}.js`, here));
    assert.deepEqual([listed, bytes, path], [integrity(script), script.length, `/sdk/nodkey-code/${version}.js`]);
  }
  const files = (await readdir(new URL('served/', here))).filter((name) => name.endsWith('.js'));
  assert.deepEqual(
    files.toSorted(),
    Object.keys(versions)
      .map((version) => `${version}.js`)
      .toSorted(),
  );
});

for (const path of NAMED) {
  test(`${path} names this version and its hash`, async () => {
    const { latest, versions } = await servedVersions();
    const text = await readFile(new URL(path, top), 'utf8');
    assert.ok(text.includes(versions[latest].integrity), 'run: npm run build');
    assert.equal(named(text, versions[latest]), text, 'run: npm run build');
  });
}

test('the file depends on nothing and stays within its budget, which README.md states', async () => {
  const script = Buffer.from(await bundle());
  assert.doesNotMatch(script.toString(), /\bimport\s*[{*"'(]|\bimport\s+\w/);
  const compressed = gzipSync(script, { level: 9 }).length;
  assert.ok(script.length <= BUDGET.plain && compressed <= BUDGET.compressed, `${script.length}, ${compressed}`);
  const readme = await readFile(new URL('README.md', here), 'utf8');
  const stated = `${Math.round(script.length / 1000)} kB (${Math.round(compressed / 1000)} kB compressed)`;
  assert.ok(readme.includes(stated), stated);
});

test('the file turns no text into markup or script', async () => {
  const script = Buffer.from(await bundle()).toString();
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/);
});

test('the file keeps the notices of the licences', async () => {
  const script = Buffer.from(await bundle()).toString();
  assert.match(script, /SPDX-License-Identifier: Apache-2\.0/);
  assert.match(script, /Copyright \(c\) 2023 Paul Miller[^]*?SPDX-License-Identifier: MIT OR Apache-2\.0/);
});

test('the package holds the file, its declarations and nothing to build', async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json'], { cwd: here });
  const { latest } = await servedVersions();
  const packed = await readFile(new URL('dist/nodkey-code.js', here));
  assert.ok(packed.equals(await readFile(new URL(`served/${latest}.js`, here))));
  const [{ files }] = JSON.parse(stdout.slice(stdout.indexOf('[')));
  assert.deepEqual(files.map((/** @type {{path: string}} */ { path }) => path).toSorted(), [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'dist/nodkey-code.js',
    'index.d.ts',
    'package.json',
  ]);
});

test('the package can be imported where there is no document', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', "console.log(typeof (await import('@nodkey/web')).NodkeyCode)"],
    { cwd: here },
  );
  assert.equal(stdout.trim(), 'function');
});
