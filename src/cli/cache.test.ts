import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tersor } from '../../test/fixtures/command.js';
import { keyOf, openStore } from '../pipeline/context/store.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-cache-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('says where the store is and how large, and empties it of its entries alone', async () => {
  const [store, hub] = [join(folder, 'store'), join(folder, 'hub')];
  const { put } = await openStore(store);
  for (const name of ['a', 'b']) await put(keyOf(name), new Uint8Array(968));
  writeFileSync(join(store, `${keyOf('c')}.tmp-1`), '12345678');
  writeFileSync(join(store, 'thesis.txt'), 'mine');
  mkdirSync(join(hub, 'owner--model', 'commit'), { recursive: true });
  writeFileSync(join(hub, 'owner--model', 'commit', 'config.json'), '12345');
  const places = ['--store', store, '--cache-folder', hub];

  const shown = await tersor('cache', ...places);
  expect(shown).toMatchObject({ code: 0, errors: '' });
  expect(shown.stdout).toContain(store);
  expect(shown.stdout).toContain('3 solved tensors, 2.01 kB of at most 8.00 GB');
  expect(shown.stdout).toContain('tersor cache --empty');
  expect(shown.stdout).toContain('owner/model');

  const {
    store: found,
    models,
    emptied,
  } = JSON.parse((await tersor('cache', ...places, '--empty', '--json')).stdout);
  expect(found).toEqual({ folder: store, entries: 3, bytes: 2008, capacity: 8e9 });
  expect(models).toEqual({ folder: hub, names: ['owner/model'], bytes: 5 });
  expect(emptied).toBe(true);
  expect(readdirSync(store)).toEqual(['thesis.txt']);
});
