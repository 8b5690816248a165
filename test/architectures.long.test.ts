import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { predictWithLlama } from '../src/evaluation/llama.js';
import { predict } from '../src/evaluation/predictor.js';
import { score } from '../src/evaluation/score.js';
import { compress } from '../src/pipeline/compress.js';
import { withContext } from '../src/pipeline/context/context.js';
import { runtimes } from '../src/pipeline/formats/runtime.js';
import { micros, writeMicro } from './fixtures/micro.js';
import { uniform } from './reference/random.js';

const seed = 7;
const random = uniform(seed);
const sequences = Array.from({ length: 4 }, () =>
  Int32Array.from({ length: 128 }, () => Math.floor(random() * 4096)),
);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-architectures-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('every architecture predicts what llama.cpp predicts from the F32 GGUF that tersor writes', () => {
  test.each(Object.entries(micros))('%s', async (name, micro) => {
    const model = join(folder, name);
    const output = join(folder, `${name}.gguf`);
    await writeMicro(model, micro, seed);
    await compress({ model, output, type: 'f32', solver: 'rtn', tokens: 256, context: 64 });

    await withContext({}, {}, async (context) => {
      const llama = await predictWithLlama(output, sequences, context);
      for (const path of [model, output]) {
        const tersor = await predict(await context.open(path), sequences, context);
        const { reference } = await score(sequences, llama, tersor, context);
        expect(Math.max(...(reference?.largestShift ?? [Number.NaN])), path).toBeLessThan(0.002);
        await tersor.release();
      }
      await llama.release();
    });
  });
});

describe('every architecture predicts the same in onnxruntime', () => {
  const { mistral } = micros;
  const windowed = { ...mistral, config: { ...mistral.config, sliding_window: 24 } };
  test.each(Object.entries({ ...micros, 'mistral with a window': windowed }))('%s', async (name, micro) => {
    const model = join(folder, name);
    await writeMicro(model, micro, seed);
    for (const type of ['f32', 'int4']) {
      const output = join(folder, `${name} ${type}`);
      await compress({ model, output, format: 'onnx', type, solver: 'rtn', tokens: 256, context: 64 });
      await withContext({}, {}, async (context) => {
        const own = await predict(await context.open(type === 'f32' ? model : output), sequences, context);
        const theirs = await runtimes.onnxruntime.predict(output, sequences, context);
        const { reference } = await score(sequences, theirs, own, context);
        expect(Math.max(...(reference?.largestShift ?? [Number.NaN])), type).toBeLessThan(0.002);
        await own.release();
        await theirs.release();
      });
    }
  });
});
