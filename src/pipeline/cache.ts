import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultHubFolder } from '../checkpoint/hub.js';
import { defaultCapacity, emptyStore, measureStore, type StoreSize } from './context/store.js';

export interface CacheOptions {
  /** Folder with solved tensors. */
  readonly store?: string | undefined;
  /** Folder with models from the hub. */
  readonly cacheFolder?: string | undefined;
  /** Whether to remove the solved tensors. */
  readonly empty?: boolean | undefined;
}

/** What tersor keeps for later runs. */
export interface CacheContents {
  /** Solved tensors, as they were before they were removed. */
  readonly store: StoreSize & { readonly capacity: number };
  /** Models from the hub. */
  readonly models: { readonly folder: string; readonly names: readonly string[]; readonly bytes: number };
  readonly emptied: boolean;
}

/** Says what is kept, where, and how large it is; removes solved tensors, which can be made again, when asked to. */
export async function cache(options: CacheOptions = {}): Promise<CacheContents> {
  const { store, cacheFolder = defaultHubFolder(), empty = false } = options;
  const found = await (empty ? emptyStore : measureStore)(store);
  const names = await readdir(cacheFolder).catch(() => []);
  return {
    store: { ...found, capacity: defaultCapacity },
    models: {
      folder: cacheFolder,
      names: names.map((name) => name.replace('--', '/')).sort(),
      bytes: await bytesIn(cacheFolder),
    },
    emptied: empty,
  };
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => undefined)));
  return sizes.reduce((sum, about) => sum + (about?.isFile() ? about.size : 0), 0);
}
