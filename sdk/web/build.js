/**
 * Bundles the sources into the one file that gateways serve and the package contains, and writes its hash where pages name it. With
 * `package`, writes the package's copy alone.
 * A version that is released never changes: CHANGELOG.md says whether it is.
 */

import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';

import { build } from 'esbuild';

/** @typedef {{path: string, integrity: string, bytes: number}} Version */
/** @typedef {{latest: string, versions: Record<string, Version>}} Versions */

const here = new URL('./', import.meta.url);
const LIST = new URL('served/versions.json', here);

/** Where the script is named with its hash, relative to the top of the repository. */
export const NAMED = [
  'docs/guides/secure-qr.md',
  'examples/page/index.html',
  'sdk/web/README.md',
  'web/assets/demo/index.html',
];

/** Finds the path of a version, and its hash after it. */
const NAME = /\/sdk\/nodkey-code\/[\d.]+\.js("\s+integrity=")sha384-[\w+/=]+/g;

/** The version of the package. */
export async function currentVersion() {
  return JSON.parse(await readFile(new URL('package.json', here), 'utf8')).version;
}

/**
 * The bundle of the sources as they are.
 * @returns {Promise<Uint8Array>}
 */
export async function bundle() {
  const { outputFiles } = await build({
    absWorkingDir: new URL('.', here).pathname,
    entryPoints: ['src/index.js'],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
    // The licence of what is bundled.
    legalComments: 'inline',
    banner: { js: `/*! @nodkey/web ${await currentVersion()} | SPDX-License-Identifier: Apache-2.0 */` },
    write: false,
  });
  return outputFiles[0].contents;
}

/**
 * The hash of a script, as the attribute `integrity` has it.
 * @param {Uint8Array} script
 */
export function integrity(script) {
  return `sha384-${createHash('sha384').update(script).digest('base64')}`;
}

/** @returns {Promise<Versions>} */
export async function servedVersions() {
  return JSON.parse(await readFile(LIST, 'utf8'));
}

/**
 * A text that names the script, with the path and the hash of this version.
 * @param {string} text
 * @param {Version} version
 */
export function named(text, version) {
  return text.replaceAll(NAME, (_, between) => `${version.path}${between}${version.integrity}`);
}

/**
 * Whether a version is released, by its heading in the changelog.
 * @param {string} version
 */
async function isReleased(version) {
  const heading = `## [${version}] - `;
  const line = (await readFile(new URL('CHANGELOG.md', here), 'utf8')).split('\n').find((of) => of.startsWith(heading));
  if (!line) throw new Error(`CHANGELOG.md has nothing about ${version}`);
  return line !== `${heading}unreleased`;
}

/** Writes the file that gateways serve, its hash, and the places that name it. */
async function write() {
  const [script, latest, list] = await Promise.all([bundle(), currentVersion(), servedVersions()]);
  const version = { path: `/sdk/nodkey-code/${latest}.js`, integrity: integrity(script), bytes: script.length };
  const known = list.versions[latest];
  if (known && known.integrity !== version.integrity && (await isReleased(latest)))
    throw new Error(`${latest} is released, and pages name its hash: raise the version in package.json`);
  const versions = { ...list.versions, [latest]: version };
  await writeFile(new URL(`served/${latest}.js`, here), script);
  await writeFile(LIST, `${JSON.stringify({ latest, versions }, null, 2)}\n`);
  for (const path of NAMED) {
    const file = new URL(`../../${path}`, here);
    await writeFile(file, named(await readFile(file, 'utf8'), version));
  }
  console.log(`${version.path}: ${version.bytes} bytes, ${version.integrity}`);
}

/** Writes the file of the package: the one that gateways serve. */
async function pack() {
  const [script, { latest, versions }] = await Promise.all([bundle(), servedVersions()]);
  if (versions[latest]?.integrity !== integrity(script)) throw new Error('the sources have changed: npm run build');
  await mkdir(new URL('dist/', here), { recursive: true });
  await writeFile(new URL('dist/nodkey-code.js', here), script);
}

if (process.argv[1] === import.meta.filename) await (process.argv[2] === 'package' ? pack() : write());
