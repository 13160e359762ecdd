import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
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
  for (const [version, { path: served, integrity: listed, bytes }] of Object.entries(versions)) {
    const script = await readFile(new URL(`served/${version}.js`, here));
    assert.deepEqual([listed, bytes, served], [integrity(script), script.length, `/sdk/nodkey-code/${version}.js`]);
  }
  const files = (await readdir(new URL('served/', here))).filter((name) => name.endsWith('.js'));
  assert.deepEqual(
    files.toSorted(),
    Object.keys(versions)
      .map((version) => `${version}.js`)
      .toSorted(),
  );
});

for (const document of NAMED) {
  test(`${document} names this version and its hash`, async () => {
    const { latest, versions } = await servedVersions();
    const text = await readFile(new URL(document, top), 'utf8');
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
  assert.deepEqual(files.map((/** @type {{path: string}} */ file) => file.path).toSorted(), [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'dist/nodkey-code.js',
    'index.d.ts',
    'package.json',
  ]);
});

test('a project that installs the package can import it, also where there is no document', async () => {
  const project = await mkdtemp(path.join(tmpdir(), 'nodkey-web-'));
  const run = async (/** @type {string} */ program, /** @type {string[]} */ args, cwd = project) =>
    (await promisify(execFile)(program, args, { cwd })).stdout.trim();
  try {
    await writeFile(path.join(project, 'package.json'), '{ "private": true }');
    await run('npm', ['pack', '--pack-destination', project], here.pathname);
    const packed = `./nodkey-web-${await currentVersion()}.tgz`;
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', packed]);
    const script = "console.log(typeof (await import('@nodkey/web')).NodkeyCode, typeof customElements)";
    assert.equal(await run(process.execPath, ['--input-type=module', '--eval', script]), 'function undefined');
  } finally {
    await rm(project, { recursive: true });
  }
});
