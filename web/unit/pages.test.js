import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
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

for (const page of ['demo', 'phone']) {
  test(`the ${page} page preloads what it imports, and nothing else`, () => {
    const html = readFileSync(new URL(`${page}/index.html`, ASSETS), 'utf8');
    const preloaded = [...html.matchAll(/rel="modulepreload" href="\/assets\/([^"]+)"/g)].map(([, path]) => path);
    const imported = [...graph(new URL(`${page}/app.js`, ASSETS))].filter((path) => path !== `${page}/app.js`);
    assert.deepEqual(preloaded.toSorted(), imported.toSorted());
  });

  test(`everything the ${page} page names is there`, () => {
    const html = readFileSync(new URL(`${page}/index.html`, ASSETS), 'utf8');
    for (const [, path] of html.matchAll(/(?:href|src)="\/assets\/([^"]+)"/g)) readFileSync(new URL(path, ASSETS));
  });
}
