import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { micros, writeMicro } from '../../test/fixtures/micro.js';
import { openCheckpoint } from '../checkpoint/open.js';
import { createKernels } from '../kernels/kernels.js';
import { compress } from '../pipeline/compress.js';
import { matrixShape } from './architecture.js';
import { openModel } from './model.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-model-'));
const kernels = await createKernels();
afterAll(() => {
  kernels.close();
  rmSync(folder, { recursive: true });
});

/** Every weight, read as a whole and row by row. */
async function readBoth(path: string): Promise<[whole: Float32Array, parts: Float32Array][]> {
  const checkpoint = await openCheckpoint(path, { kernels });
  const { architecture, read, readRows } = await openModel(checkpoint);
  const both: [Float32Array, Float32Array][] = [];
  for (const spec of architecture.tensors) {
    const [rows] = matrixShape(spec);
    const middle = Math.ceil(rows / 3);
    const parts = [await readRows(spec, 0, middle), await readRows(spec, middle, rows)];
    both.push([await read(spec), Float32Array.from(parts.flatMap((part) => [...part]))]);
  }
  await checkpoint.close();
  return both;
}

test('rows are those of the whole weight, in whatever order a format stores them', async () => {
  const [llama, gpt2, gguf] = ['llama', 'gpt2', 'llama.gguf'].map((name) => join(folder, name));
  await writeMicro(llama ?? '', micros.llama, 1);
  await writeMicro(gpt2 ?? '', micros.gpt2, 2);
  await compress({ model: llama ?? '', output: gguf ?? '', type: 'f32', embeddingType: 'f32', threads: 1 });
  for (const path of [llama, gpt2, gguf]) {
    const both = await readBoth(path ?? '');
    expect(both.length).toBeGreaterThan(10);
    for (const [whole, parts] of both) expect(parts).toEqual(whole);
  }
});

/** A small Llama whose tensors are renamed or changed before it is written. */
async function written(
  name: string,
  change: (config: Record<string, unknown>, shapes: Record<string, number[]>) => void,
): Promise<string> {
  const { config, shapes } = structuredClone(micros.llama);
  change(config, shapes as Record<string, number[]>);
  await writeMicro(join(folder, name), { config, shapes }, 3);
  return join(folder, name);
}

async function architectureOf(path: string) {
  const checkpoint = await openCheckpoint(path, { kernels });
  const { architecture } = await openModel(checkpoint);
  await checkpoint.close();
  return architecture;
}

test('a head of its own is kept whatever the configuration says of it', async () => {
  const path = await written('own head', (config) => {
    config.tie_word_embeddings = true;
  });
  expect((await architectureOf(path)).tied).toBe(false);
});

test('a head that is the embedding once more is left out where the configuration says so', async () => {
  const path = await written('same head', (config, shapes) => {
    config.tie_word_embeddings = true;
    delete shapes['lm_head.weight'];
  });
  expect((await architectureOf(path)).tied).toBe(true);
});

test('names without the outermost module are found, as embedding models have them', async () => {
  const path = await written('inner', (config, shapes) => {
    config.tie_word_embeddings = true;
    delete shapes['lm_head.weight'];
    for (const [name, shape] of Object.entries(shapes)) {
      delete shapes[name];
      shapes[name.replace(/^model\./, '')] = shape;
    }
  });
  const { tensors, tied } = await architectureOf(path);
  expect(tied).toBe(true);
  expect(tensors.length).toBe(20);
});
