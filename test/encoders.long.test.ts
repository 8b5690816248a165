import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../src/checkpoint/open.js';
import { compress } from '../src/pipeline/compress.js';
import { encoders, huggingFaceModels } from './fixtures/hugging-face.js';
import { safetensors } from './fixtures/micro.js';
import { expectOfTransformers } from './fixtures/transformers.js';
import { normals } from './reference/random.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-encoders-'));
});
afterAll(() => rm(folder, { recursive: true }));

const models = huggingFaceModels();
const made = [...models].filter(([name]) => encoders.has(name));
const settings = { format: 'onnx', type: 'int4', threads: 1, tokens: 512, context: 64 } as const;

describe('every encoder of Hugging Face’s code becomes an ONNX that transformers.js computes as tersor does', () => {
  test.each(made)('%s', async (name, model) => {
    const output = join(folder, name);
    const { verified, embeddings } = await compress({ ...settings, model, output });
    expect(verified).toMatchObject({ runtime: 'onnxruntime', bounded: 'largestShift' });
    expect(verified?.largestShift).toBeLessThan(1e-5);
    // A compressed model it is, and not another one.
    expect(embeddings?.cosine.mean).toBeLessThan(0.99999);
    expect(embeddings?.cosine.mean).toBeGreaterThan(0.8);
    await expectOfTransformers(folder, name, 'mean');
  });
});

test.runIf(models.has('electra'))('narrow embeddings go through a layer of their own (ELECTRA)', async () => {
  const [source, model] = [models.get('electra') ?? '', join(folder, 'narrow')];
  await cp(source, model, { recursive: true });
  const config = JSON.parse(await readFile(join(source, 'config.json'), 'utf8'));
  const [width, hidden] = [32, Number(config.hidden_size)];
  await writeFile(join(model, 'config.json'), JSON.stringify({ ...config, embedding_size: width }));
  const checkpoint = await openCheckpoint(source);
  const tensors: { name: string; shape: number[]; data: Float32Array }[] = [];
  for (const [name, { shape }] of checkpoint.tensors) {
    const { data } = await checkpoint.read(name);
    const narrow = [...shape.slice(0, -1), width];
    const size = narrow.reduce((a, b) => a * b, 1);
    tensors.push(
      name.startsWith('embeddings.')
        ? { name, shape: narrow, data: data.slice(0, size) }
        : { name, shape: [...shape], data },
    );
  }
  await checkpoint.close();
  const seed = 11;
  tensors.push(
    { name: 'embeddings_project.weight', shape: [hidden, width], data: normals(hidden * width, seed) },
    { name: 'embeddings_project.bias', shape: [hidden], data: normals(hidden, seed + 1) },
  );
  await rm(join(model, 'model.safetensors'), { force: true });
  await writeFile(join(model, 'model.safetensors'), safetensors(tensors));

  const { verified } = await compress({ ...settings, model, output: join(folder, 'narrow-onnx') });
  expect(verified?.largestShift).toBeLessThan(1e-5);
  await expectOfTransformers(folder, 'narrow-onnx', 'mean');
});
