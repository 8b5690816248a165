import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { cacheRoot, makeFolder } from './folder.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-folder-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('what can be made again lies where the user wants caches', () => {
  expect(cacheRoot({ XDG_CACHE_HOME: '/somewhere/else' })).toBe('/somewhere/else/tersor');
  for (const XDG_CACHE_HOME of [undefined, '', 'relative'])
    expect(cacheRoot({ XDG_CACHE_HOME })).toBe(join(homedir(), '.cache', 'tersor'));
});

test('folders are made with those above them, and again', async () => {
  const path = join(folder, 'with blank', 'ünïcode', 'deep');
  await makeFolder(path);
  await makeFolder(path);
  await Promise.all([1, 2, 3].map(() => makeFolder(join(path, 'a', 'b'))));
  expect(statSync(join(path, 'a', 'b')).isDirectory()).toBe(true);
});

test('what cannot be made is an error', async () => {
  writeFileSync(join(folder, 'file'), '');
  await expect(makeFolder(join(folder, 'file', 'below'))).rejects.toThrow('ENOTDIR');
});

test.runIf(existsSync('/proc/self'))('a home under /proc is an error, not an endless loop', async () => {
  await expect(makeFolder('/proc/nowhere/.cache/tersor')).rejects.toThrow(/ENOENT|EACCES|EPERM/);
});
