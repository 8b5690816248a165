import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { f32, refused, safetensors, withFolder } from '../../test/checkpoint/files.js';
import { shared, sharedMissing } from '../../test/fixtures/data.js';
import { needs } from '../../test/fixtures/needs.js';
import { openCheckpoint } from './open.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const model = safetensors({ a: f32([1], [1]) });

test('the model in models/', async () => {
  const checkpoint = await openCheckpoint(join(root, 'models/tales'));
  expect(checkpoint.metadata).toMatchObject({ model_type: 'llama', hidden_size: 256 });
  expect(checkpoint.tensors.get('model.layers.3.mlp.down_proj.weight')).toEqual({
    name: 'model.layers.3.mlp.down_proj.weight',
    shape: [256, 768],
    type: 'bf16',
    bytes: 2 * 256 * 768,
  });
  for (const { name, shape } of checkpoint.tensors.values()) {
    const { data } = await checkpoint.read(name);
    expect(data.length).toBe(shape.reduce((a, b) => a * b));
    expect(data.some((value) => value !== 0)).toBe(true);
  }
  await checkpoint.close();
});

test('stories15M', needs(sharedMissing), async () => {
  if (!shared) return;
  const checkpoint = await openCheckpoint(shared.models.stories15M);
  expect(checkpoint.tensors.size).toBe(6 * 9 + 2);
  const { shape, data } = await checkpoint.read('model.norm.weight');
  expect(shape).toEqual([288]);
  expect(data.every((value) => value > 0)).toBe(true);
  await checkpoint.close();
});

test.each([
  'pytorch_model.bin',
  'pytorch_model-00001-of-00002.bin',
  'model.pt',
  'model.pth',
  'model.ckpt',
  'x.pkl',
])('refuses the pickle %s, as a file and in a folder', (name) =>
  withFolder({ [name]: 'pickle', 'config.json': {} }, async (folder) => {
    const message = /is a Python pickle, which can run any code when it is read; get the safetensors version/;
    await refused(join(folder, name), message);
    await refused(folder, message);
  }),
);

test('prefers safetensors to a pickle beside it', () =>
  withFolder({ 'pytorch_model.bin': '', 'config.json': {}, 'model.safetensors': model }, async (folder) => {
    const checkpoint = await openCheckpoint(folder);
    expect([...checkpoint.tensors.keys()]).toEqual(['a']);
    await checkpoint.close();
  }));

test.each(['./missing', '/missing/model', 'missing', 'owner/missing.gguf', 'owner/missing.safetensors', ''])(
  'refuses the path %j that does not exist',
  (path) => refused(path, /does not exist; give a Hugging Face folder, .*or a hub id/),
);

test('refuses folders without weights and files of other kinds', () =>
  withFolder(
    {
      'empty/config.json': {},
      'other/model.Q4_0.gguf': '',
      'shards/model-00001-of-00002.safetensors': model,
      'notes.txt': '',
    },
    async (folder) => {
      await refused(join(folder, 'empty'), /empty: has neither model.safetensors nor .*; give a folder with/);
      await refused(join(folder, 'other'), /other: has neither .*; give the file itself: .*model.Q4_0.gguf$/);
      await refused(join(folder, 'shards'), /shards: has neither .*; get model.safetensors.index.json/);
      await refused(
        join(folder, 'shards/model-00001-of-00002.safetensors'),
        /is one of several shards; give its/,
      );
      await refused(join(folder, 'notes.txt'), /notes.txt: is of no known kind; give a .gguf/);
    },
  ));
