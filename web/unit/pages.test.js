import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const ASSETS = new URL('../assets/', import.meta.url);

/**
 * The modules a module imports when it is loaded, itself included: their paths below /assets/.
 * @param {URL} module
 * @param {Set<string>} found
 */
function graph(module, found = new Set()) {
  const path = module.href.slice(ASSETS.href.length);
  if (found.has(path)) return found;
  found.add(path);
  for (const [, specifier] of readFileSync(module, 'utf8').matchAll(/^(?:import|export) [^;]*?from '(.+)';/gm)) {
    graph(new URL(specifier, module), found);
  }
  return found;
}

/** Pages and what they begin with. */
const PAGES = {
  'demo/index.html': 'demo/app.js',
  'phone/index.html': 'phone/app.js',
  'console/index.html': 'console/app.js',
  'console/sign_in.html': 'console/signed_out.js',
  'docs/index.html': 'docs/app.js',
};

for (const [page, start] of Object.entries(PAGES)) {
  const html = readFileSync(new URL(page, ASSETS), 'utf8');

  test(`${page} preloads what it imports, and nothing else`, () => {
    const preloaded = [...html.matchAll(/rel="modulepreload" href="\/assets\/([^"]+)"/g)].map(([, path]) => path);
    const imported = [...graph(new URL(start, ASSETS))].filter((path) => path !== start);
    assert.deepEqual(preloaded.toSorted(), imported.toSorted());
    assert.ok(html.includes(`<script type="module" src="/assets/${start}">`));
  });

  test(`everything ${page} names is there`, () => {
    for (const [, path] of html.matchAll(/(?:href|src)="\/assets\/([^"]+)"/g)) {
      // A style sheet at the top is those of the folder of its name, as src/lib.rs serves them.
      const folder = /^(\w+)\.css$/.exec(path)?.[1];
      const files = folder ? readdirSync(new URL(folder, ASSETS)).filter((name) => name.endsWith('.css')) : [path];
      assert.ok(files.length > 0, path);
      for (const file of files) readFileSync(new URL(folder ? `${folder}/${file}` : file, ASSETS));
    }
  });
}
