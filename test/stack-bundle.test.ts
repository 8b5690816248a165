import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cols, norm, rows, weight, writeSmallStack } from './fixtures/small-stack.js';

const root = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tersor-bundle-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Bundle {
  readonly code: string;
  readonly imports: readonly string[];
  readonly dynamicImports: readonly string[];
}

/** Bundles a file for browsers, and nothing that Vite would stub. */
async function bundle(entry: string): Promise<Bundle> {
  const result = await build({
    configFile: false,
    root: folder,
    logLevel: 'silent',
    build: { write: false, minify: false, lib: { entry, formats: ['es'], fileName: 'bundle' } },
  });
  const [chunk] = [result].flat().flatMap((each) => ('output' in each ? each.output : []));
  if (chunk?.type !== 'chunk') throw new Error(`nothing came of ${entry}`);
  return chunk;
}

const nodeInside = /node:|__vite-browser-external|\brequire\(|\bprocess\./;

let stack: Bundle;
beforeAll(async () => {
  stack = await bundle(root('src/stack.ts'));
});

test('tersor/stack for browsers holds no Node import', async () => {
  expect([...stack.imports, ...stack.dynamicImports]).toEqual([]);
  expect(stack.code).not.toMatch(nodeInside);
  // What does import Node is seen.
  const other = await bundle(root('src/checkpoint/stack/stack.ts'));
  expect(other.code).toMatch(nodeInside);
});

test('and decodes a file that arrives piece by piece', async () => {
  const path = join(folder, 'small.stack');
  await writeSmallStack(path);
  const script = join(folder, 'bundle.mjs');
  await writeFile(script, stack.code);
  const { createStackDecoder, loadKernels, TersorError } = (await import(
    pathToFileURL(script).href
  )) as typeof import('../src/stack.js');
  const decoder = createStackDecoder(await loadKernels(await readFile(root('build/kernels.wasm'))));
  const distance = () =>
    Math.hypot(...decoder.values('turned').map((value, at) => value - (weight.data[at] ?? 0)));
  const file = await readFile(path);
  const distances: number[] = [];
  expect(() => decoder.values('norm')).toThrow('the header has not come yet');
  for (let at = 0; at < file.length; at += 100) {
    decoder.push(file.subarray(at, at + 100));
    const changed = await decoder.update();
    if (changed.has('turned') && decoder.usable) distances.push(distance());
  }
  expect(decoder.contents?.bytes).toBe(file.length);
  expect(decoder.values('norm')).toEqual(norm);
  expect(decoder.values('turned')).toHaveLength(rows * cols);
  expect(() => decoder.values('other')).toThrow(TersorError);
  expect(distances.length).toBeGreaterThan(3);
  expect(distances).toEqual(distances.toSorted((a, b) => b - a));
  expect(distances.at(-1)).toBeLessThan(0.2 * (distances[0] ?? 0));
});
