import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { f32, safetensors, withFolder } from '../../test/checkpoint/files.js';
import { commit, type Hub, startHub } from '../../test/checkpoint/hub-server.js';
import { normals } from '../../test/reference/random.js';
import { TersorError } from '../errors.js';
import { downloadModel, parseHubId } from './hub.js';
import { openCheckpoint } from './open.js';
import { readPooling } from './pooling.js';

const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const weights = safetensors({ a: f32([100, 300], normals(30_000, 1)) });
const files = {
  '.gitattributes': text(''),
  'README.md': text('not needed'),
  'config.json': text({ model_type: 'llama' }),
  'merges.txt': new Uint8Array(),
  'model.safetensors': weights,
  'onnx.onnx': text('not needed'),
  'pytorch_model.bin': text('not needed'),
  'tokenizer.json': text({}),
  'tokenizer_config.json': text({ bos: '<s>' }),
};
const id = { name: 'owner/name', revision: 'main' };

let hub: Hub;
beforeEach(async () => {
  hub = await startHub({ ...files });
});
afterEach(() => hub.close());

const cached = <T>(body: (cacheFolder: string) => Promise<T>) => withFolder({}, body);
const snapshot = (cache: string) => join(cache, 'owner--name', commit);
const partialWeights = (cache: string) => join(`${snapshot(cache)}.partial`, 'model.safetensors.partial');

describe('a hub id', () => {
  test.each([
    ['owner/name', { name: 'owner/name', revision: 'main' }],
    ['owner/na.me-1_2@v1.0/x', { name: 'owner/na.me-1_2', revision: 'v1.0/x' }],
    ['name', undefined],
    ['./owner/name', undefined],
    ['/owner/name', undefined],
    ['../name', undefined],
    ['owner/..', undefined],
    ['owner/name/more', undefined],
    ['owner/name.gguf', undefined],
    ['owner/name@../up', undefined],
  ])('%s', (model, expected) => {
    expect(parseHubId(model)).toEqual(expected);
  });
});

describe('a download', () => {
  test('fetches what a checkpoint needs, and nothing when it is there', () =>
    cached(async (cacheFolder) => {
      const seen: [number, number][] = [];
      const progress = (_: string, done: number, total: number) => seen.push([done, total]);
      const options = { cacheFolder, hubUrl: hub.url, progress };
      const checkpoint = await openCheckpoint('owner/name', options);
      expect(checkpoint).toMatchObject({ path: 'owner/name', folder: snapshot(cacheFolder) });
      expect((await checkpoint.read('a')).data).toEqual(normals(30_000, 1));
      await checkpoint.close();

      const names = [
        'config.json',
        'merges.txt',
        'model.safetensors',
        'tokenizer.json',
        'tokenizer_config.json',
      ] as const;
      expect(await readdir(join(cacheFolder, 'owner--name'))).toEqual([commit]);
      expect((await readdir(snapshot(cacheFolder))).sort()).toEqual(names);
      const total = names.reduce((sum, name) => sum + files[name].length, 0);
      expect(seen.at(-1)).toEqual([total, total]);
      expect(seen).toEqual(seen.toSorted((a, b) => a[0] - b[0]));

      const before = hub.requests.length;
      expect(await downloadModel({ name: 'owner/name', revision: 'v1' }, options)).toBe(
        snapshot(cacheFolder),
      );
      expect(hub.requests.length).toBe(before);
      await hub.close();
      expect(await downloadModel({ name: 'owner/name', revision: commit }, options)).toBe(
        snapshot(cacheFolder),
      );
    }));

  test('fetches how an encoder makes its embeddings, into a folder of its own', () =>
    cached(async (cacheFolder) => {
      const pooling = { pooling_mode_cls_token: true };
      hub.behaviour.files = {
        ...files,
        '1_Pooling/config.json': text(pooling),
        'onnx/config.json': text('not needed'),
      };
      const folder = await downloadModel(id, { cacheFolder, hubUrl: hub.url });
      expect((await readdir(folder)).sort().slice(0, 2)).toEqual(['1_Pooling', 'config.json']);
      expect(await readdir(folder)).not.toContain('onnx');
      expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toEqual({
        model_type: 'llama',
      });
      expect(await readPooling(folder)).toBe('cls');
    }));

  test('fetches the shards that the index names', () =>
    cached(async (cacheFolder) => {
      const { 'model.safetensors': _, ...others } = files;
      hub.behaviour.files = {
        ...others,
        'unrelated.safetensors': weights,
        'model-00001-of-00001.safetensors': weights,
        'model.safetensors.index.json': text({ weight_map: { a: 'model-00001-of-00001.safetensors' } }),
      };
      const checkpoint = await openCheckpoint('owner/name', { cacheFolder, hubUrl: hub.url });
      expect((await checkpoint.read('a')).data).toEqual(normals(30_000, 1));
      await checkpoint.close();
      expect((await readdir(snapshot(cacheFolder))).sort()).toEqual([
        'config.json',
        'merges.txt',
        'model-00001-of-00001.safetensors',
        'model.safetensors.index.json',
        'tokenizer.json',
        'tokenizer_config.json',
      ]);
    }));

  test('goes on by itself where the connection broke', () =>
    cached(async (cacheFolder) => {
      hub.behaviour.breakAfter = [50_000, 30_000];
      const folder = await downloadModel(id, { cacheFolder, hubUrl: hub.url });
      expect(await readFile(join(folder, 'model.safetensors'))).toEqual(Buffer.from(weights));
      expect(hub.requests.filter((request) => request.startsWith('model.safetensors'))).toEqual([
        'model.safetensors all',
        `model.safetensors bytes=50000-${weights.length - 1}`,
        `model.safetensors bytes=80000-${weights.length - 1}`,
      ]);
    }));

  test('goes on in a later call after it gave up', () =>
    cached(async (cacheFolder) => {
      const options = { cacheFolder, hubUrl: hub.url };
      hub.behaviour.breakAfter = [70_000, 0, 0, 0];
      await failing(
        downloadModel(id, options),
        /model.safetensors: stopped after 70000 of \d+ bytes.* to go on/,
      );
      expect(await readdir(join(cacheFolder, 'owner--name'))).toEqual([`${commit}.partial`]);
      expect((await readFile(partialWeights(cacheFolder))).length).toBe(70_000);

      hub.requests.length = 0;
      const folder = await downloadModel(id, options);
      expect(hub.requests).toEqual([
        `model.safetensors bytes=70000-${weights.length - 1}`,
        'tokenizer.json all',
        'tokenizer_config.json all',
      ]);
      expect(await readFile(join(folder, 'model.safetensors'))).toEqual(Buffer.from(weights));
    }));
});

describe('refuses', () => {
  const fetching = (cacheFolder: string) => openCheckpoint('owner/name', { cacheFolder, hubUrl: hub.url });
  const isEmpty = async (cacheFolder: string) => expect(await readdir(cacheFolder)).toEqual([]);

  test.each([
    [404, /owner\/name@main: there is neither such a path nor such a model on http.*; check the name/],
    [401, /owner\/name@main: there is neither such a path nor such a model on http.*need an access token/],
    [403, /owner\/name@main: the model is gated; accept its conditions on http/],
    [503, /owner\/name@main: http.* answers with status 503; try again later/],
  ])('status %i', (status, message) =>
    cached(async (cacheFolder) => {
      hub.behaviour.refuse = status;
      await failing(fetching(cacheFolder), message);
      await isEmpty(cacheFolder);
    }),
  );

  test.each([401, 403])('weights of a gated model (status %i)', (status) =>
    cached(async (cacheFolder) => {
      hub.behaviour.refuseWeights = status;
      await failing(fetching(cacheFolder), /owner\/name@main: the model is gated; accept its conditions/);
    }),
  );

  test('a revision that is not there', () =>
    cached((cacheFolder) =>
      failing(
        openCheckpoint('owner/name@v2', { cacheFolder, hubUrl: hub.url }),
        /owner\/name@v2: there is neither/,
      ),
    ));

  test('a model without safetensors', () =>
    cached(async (cacheFolder) => {
      delete hub.behaviour.files['model.safetensors'];
      await failing(
        fetching(cacheFolder),
        /owner\/name: has no model.safetensors; its weights are Python pickles/,
      );
      delete hub.behaviour.files['pytorch_model.bin'];
      await failing(
        fetching(cacheFolder),
        /has no model.safetensors; choose a model in the transformers format/,
      );
      delete hub.behaviour.files['config.json'];
      await failing(fetching(cacheFolder), /has no config.json/);
      await isEmpty(cacheFolder);
    }));

  test('a size that is not the listed one', () =>
    cached(async (cacheFolder) => {
      hub.behaviour.listedSize = weights.length + 1;
      await failing(
        fetching(cacheFolder),
        /model.safetensors: the hub offers \d+ bytes of a file of \d+; run/,
      );
      expect(await readFile(partialWeights(cacheFolder))).toHaveLength(0);
    }));

  test('more bytes than the file has', () =>
    cached(async (cacheFolder) => {
      hub.behaviour.breakAfter = [70_000, 0, 0, 0];
      await failing(fetching(cacheFolder), /stopped after 70000/);
      hub.behaviour.ignoreRanges = true;
      await failing(
        fetching(cacheFolder),
        /bytes arrived of a file of \d+, so it was deleted; run the command/,
      );
      await (await fetching(cacheFolder)).close();
    }));

  test('other bytes than the hub has a hash of', () =>
    cached(async (cacheFolder) => {
      hub.behaviour.corrupt = true;
      await failing(
        fetching(cacheFolder),
        /model.safetensors: what arrived has another hash, so it was deleted/,
      );
      delete hub.behaviour.corrupt;
      await (await fetching(cacheFolder)).close();
    }));

  test('a partial file of another content', () =>
    cached(async (cacheFolder) => {
      hub.behaviour.breakAfter = [70_000, 0, 0, 0];
      await failing(fetching(cacheFolder), /stopped after 70000/);
      await writeFile(partialWeights(cacheFolder), new Uint8Array(1000));
      await failing(fetching(cacheFolder), /another hash, so it was deleted/);
    }));

  test('a shard in another folder', () =>
    cached(async (cacheFolder) => {
      delete hub.behaviour.files['model.safetensors'];
      hub.behaviour.files['model.safetensors.index.json'] = text({
        weight_map: { a: '../../x.safetensors' },
      });
      await failing(fetching(cacheFolder), /tensor a: names the shard "..\/..\/x.safetensors"/);
    }));

  test('a hub that does not answer, and tells of a copy', () =>
    cached(async (cacheFolder) => {
      const options = { cacheFolder, hubUrl: hub.url };
      const folder = await downloadModel(id, options);
      await hub.close();
      await failing(downloadModel(id, options), new RegExp(`cannot be asked: .*or give the copy ${folder}`));
      await rm(folder, { recursive: true });
      await failing(downloadModel(id, options), /cannot be asked: .*ECONNREFUSED.*; check the network$/);
    }));

  test('a cache folder that cannot be made', () =>
    withFolder({ file: 'no folder' }, (folder) =>
      failing(
        fetching(join(folder, 'file')),
        /the download of owner\/name stopped: ENOTDIR.*see that there is room/,
      ),
    ));
});

async function failing(work: Promise<unknown>, message: RegExp): Promise<void> {
  const failure = await work.catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(TersorError);
  expect(String((failure as TersorError).message)).toMatch(message);
  expect(String((failure as TersorError).message)).not.toContain('\n');
}
