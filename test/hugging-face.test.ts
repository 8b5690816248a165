import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openModel } from '../src/architecture/model.js';
import { openCheckpoint } from '../src/checkpoint/open.js';
import { TersorError } from '../src/errors.js';
import { compress } from '../src/pipeline/compress.js';
import type { FormatName } from '../src/pipeline/formats/names.js';
import {
  decoders,
  encoders,
  huggingFaceModels,
  largestRelative,
  largestShift,
  ownOutputs,
  readExpected,
} from './fixtures/hugging-face.js';

const models = huggingFaceModels();
/** Those whose family tersor reads. */
const read = new Set([...decoders, ...encoders]);

test.each([...models].filter(([name]) => read.has(name)))(
  "%s gives what Hugging Face's own code gives",
  async (_, folder) => {
    const checkpoint = await openCheckpoint(folder);
    const model = await openModel(checkpoint);
    const { sequences, outputs, width } = await readExpected(folder);
    const own = await ownOutputs(model, sequences);
    await checkpoint.close();
    if (model.architecture.objective === 'prediction')
      expect(largestShift(own, outputs, width)).toBeLessThan(1e-3);
    else expect(largestRelative(own, outputs)).toBeLessThan(1e-3);
  },
);

test.each([...models].filter(([name]) => !read.has(name)))('%s is refused', async (_, folder) => {
  const checkpoint = await openCheckpoint(folder);
  const problem = await openModel(checkpoint).then(
    () => undefined,
    (error) => error,
  );
  await checkpoint.close();
  expect(problem).toBeInstanceOf(TersorError);
  expect(problem.message).toMatch(/is not supported|does not know/);
});

test.each(['gguf', 'safetensors', 'compressed-tensors', 'onnx', 'stack'])(
  'what %s stores of norms that Hugging Face keeps less 1 is read back as it was',
  async (format) => {
    const folder = mkdtempSync(join(tmpdir(), 'tersor-norms-'));
    try {
      const path = models.get('gemma3') ?? '';
      const output = join(folder, format === 'gguf' ? 'a.gguf' : format === 'stack' ? 'a.stack' : 'output');
      const kind =
        format === 'stack' ? {} : { type: 'f32', embeddingType: 'f32', format: format as FormatName };
      await compress({ model: path, output, threads: 1, tokens: 256, context: 64, ...kind });
      const norms = async (model: string) => {
        const checkpoint = await openCheckpoint(model);
        const { architecture, read } = await openModel(checkpoint);
        const all = new Map<string, Float32Array>();
        for (const spec of architecture.tensors.filter(({ kind: each }) => each === 'norm'))
          all.set(spec.names.gguf, await read(spec));
        await checkpoint.close();
        return all;
      };
      const [before, after] = [await norms(path), await norms(output)];
      expect([...after.keys()]).toEqual([...before.keys()]);
      // Six norms in each of four blocks, and one behind them.
      expect(after.size).toBe(25);
      for (const [name, values] of after)
        expect(largestRelative(values, before.get(name) ?? new Float32Array()), name).toBeLessThan(1e-6);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
