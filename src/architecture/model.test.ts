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
