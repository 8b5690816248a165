import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { poolingName, readPooling } from '../src/checkpoint/pooling.js';
import { compress } from '../src/pipeline/compress.js';
import type { ProgressEvent } from '../src/pipeline/context/progress.js';
import { evaluate, evaluateEncoder } from '../src/pipeline/evaluate.js';
import { plan } from '../src/pipeline/plan.js';
import { builtinText } from '../src/text/builtin.js';
import { tersor } from './fixtures/command.js';
import { writeMicroBert, writeSmallMiniLm } from './fixtures/micro-bert.js';
import { expectOfTransformers } from './fixtures/transformers.js';

let folder = '';
let model = '';
let text = '';
const shared = { format: 'safetensors', threads: 1, tokens: 2048, context: 64 } as const;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-encoder-'));
  model = join(folder, 'bert');
  text = join(folder, 'text.txt');
  await writeMicroBert(model, 5);
  await writeFile(text, builtinText);
});
afterAll(() => rm(folder, { recursive: true }));

describe('an encoder', () => {
  test('with plain numbers gives the embeddings of the original', async () => {
    const output = join(folder, 'f32');
    const { embeddings, heldOut } = await compress({ ...shared, model, output, type: 'f32' });
    expect(heldOut).toBeUndefined();
    expect(embeddings?.texts).toBeGreaterThan(20);
    expect(embeddings?.cosine.min).toBeGreaterThan(0.999999);
    expect(embeddings?.retrieval).toEqual({
      top1: expect.closeTo(1, 12),
      top10: expect.closeTo(1, 12),
      ndcg10: expect.closeTo(1, 12),
    });
  });

  test('loses more with fewer bits, less with corrected biases, and less by descent than by rounding', async () => {
    const lossOf = async (type: string, solver: string, bias: 'corrected' | 'kept') => {
      const output = join(folder, `${type}-${solver}-${bias}`);
      const settings = { ...shared, type, solver, bias, embeddingType: 'f16' };
      const { embeddings } = await compress({ ...settings, model, output });
      return 1 - (embeddings?.cosine.mean ?? Number.NaN);
    };
    const [four, three] = [await lossOf('int4', 'rtn', 'kept'), await lossOf('int3', 'rtn', 'kept')];
    expect(three).toBeGreaterThan(2 * four);
    expect(await lossOf('int3', 'rtn', 'corrected')).toBeLessThan(0.5 * three);
    expect(await lossOf('int3', 'decoupleq', 'kept')).toBeLessThan(0.5 * three);
  });

  test('comes out the same where a run was interrupted, corrected biases included', async () => {
    const settings = { ...shared, model, type: 'int3', solver: 'gptq', embeddingType: 'f16' };
    const store = join(folder, 'journal');
    const output = join(folder, 'resumed');
    const stop = new AbortController();
    const progress = ({ detail }: ProgressEvent) => {
      if (detail?.task === 'compress' && detail.done > 0.8 * detail.total)
        stop.abort(new Error('stopped before the end'));
    };
    const interrupted = compress({ ...settings, output, store }, { signal: stop.signal, progress });
    await expect(interrupted).rejects.toThrow('stopped before the end');
    const warnings: string[] = [];
    await compress({ ...settings, output, store }, { warn: (line) => warnings.push(line) });
    expect(warnings.join()).toContain('going on where an earlier run stopped');
    await compress({ ...settings, output: join(folder, 'afresh'), resume: false });
    const [resumed, afresh] = await Promise.all(
      ['resumed', 'afresh'].map((name) => readFile(join(folder, name, 'model.safetensors'))),
    );
    expect(resumed?.equals(afresh ?? Buffer.of())).toBe(true);
  });

  test('is evaluated beside its original only', async () => {
    const output = join(folder, 'int3-rtn-kept');
    const { texts, cosine, retrieval, bytes, reference } = await evaluateEncoder({
      model: output,
      against: model,
      text,
      tokens: 2000,
      threads: 1,
    });
    expect(texts).toBeGreaterThan(30);
    expect(cosine.mean).toBeGreaterThan(0.9);
    expect(cosine.min).toBeLessThan(cosine.p10);
    expect(cosine.p10).toBeLessThan(cosine.mean);
    expect(retrieval.top1).toBeLessThan(1);
    expect(retrieval.ndcg10).toBeGreaterThan(0.5);
    expect(bytes).toBeLessThan(reference.bytes);
    await expect(evaluate({ model: output, against: model, text })).rejects.toThrow('predicts no tokens');
    const alone = await tersor('evaluate', output, '--text', text);
    expect(alone.code).toBe(1);
    expect(alone.errors).toMatch(/^error: .*beside those of its original; name it with --against\n$/);
    const both = await tersor('evaluate', output, '--text', text, '--against', model, '--tokens', '1000');
    expect(both.stdout).toMatch(/cosine +mean 0\.9\d{3} with the original's embeddings/);
    expect(both.stdout).toMatch(/retrieval +same nearest sentence/);
  });

  test('is not written as a GGUF, and nothing is left behind', async () => {
    const output = join(folder, 'bert.gguf');
    await expect(compress({ model, output, type: 'q8_0' })).rejects.toThrow('cannot be written as a GGUF');
    expect(await readdir(folder)).not.toContain('bert.gguf');
  });

  test('is written as ONNX: transformers.js loads the folder and gives the embeddings that tersor predicts', async () => {
    const output = join(folder, 'onnx');
    const overrides = [{ pattern: /position_embd|token_types/, type: 'int8' }];
    const options = { ...shared, model, output, format: 'onnx', type: 'int4', solver: 'rtn', overrides };
    const result = await compress(options);
    expect(result.verified).toMatchObject({ runtime: 'onnxruntime', bounded: 'largestShift' });
    expect(result.verified?.largestShift).toBeLessThan(1e-5);
    expect((await plan(options)).bytes).toBe(result.bytes);
    const file = join(output, 'onnx', 'model_q4.onnx');
    expect((await stat(file)).size).toBe(result.bytes);

    await expectOfTransformers(folder, 'onnx', 'mean');
    const measured = { model: output, against: model, text, tokens: 2000, threads: 1 };
    const runtime = await evaluateEncoder({ ...measured, runtime: 'onnxruntime' });
    const own = await evaluateEncoder(measured);
    expect(runtime.cosine.mean).toBeCloseTo(own.cosine.mean, 6);
    // A compressed model it is, not a copy of the original.
    expect(own.cosine.mean).toBeLessThan(0.99995);
  });

  test('gives the first token’s output where the model says so, here and in transformers.js', async () => {
    const first = join(folder, 'first');
    await cp(model, first, { recursive: true });
    await mkdir(join(first, '1_Pooling'));
    await writeFile(join(first, poolingName), '{"pooling_mode_cls_token": true}');
    const output = join(folder, 'first-onnx');
    const options = { ...shared, model: first, output, format: 'onnx', type: 'int4', solver: 'rtn' };
    await compress(options);
    await compress(options); // replaces the folder, with the one inside it
    expect(await readPooling(output)).toBe('cls');
    await expectOfTransformers(folder, 'first-onnx', 'cls');
    const measured = { model: output, against: first, text, tokens: 2000, threads: 1 };
    const runtime = await evaluateEncoder({ ...measured, runtime: 'onnxruntime' });
    const own = await evaluateEncoder(measured);
    expect(runtime.cosine.mean).toBeCloseTo(own.cosine.mean, 6);
  });

  test.each([
    { activations: 'f16', file: 'model_q4f16.onnx' },
    { accuracyLevel: 4, file: 'model_q4.onnx' },
  ] as const)('is verified where activations are rounded: $file', async ({ file, ...rounding }) => {
    const output = join(folder, file);
    const { verified } = await compress({
      ...shared,
      ...rounding,
      model,
      output,
      format: 'onnx',
      type: 'int4',
      solver: 'rtn',
    });
    expect(await readdir(join(output, 'onnx'))).toEqual([file]);
    expect(verified).toMatchObject({ objective: 'embedding', bounded: 'meanDivergence' });
    expect(verified?.meanDivergence).toBeLessThan(0.0001);
    expect(verified?.meanDivergence).toBeGreaterThan(1e-10);
  });

  test('fits into the bits asked for, near the cosine expected', async () => {
    const output = join(folder, 'bits');
    const store = join(folder, 'store');
    const options = {
      ...shared,
      model,
      output,
      store,
      bits: 6,
      types: ['int2', 'int3', 'int4', 'int6', 'int8', 'f16'],
    };
    const planned = await plan(options);
    expect(planned.bitsPerWeight).toBeLessThanOrEqual(6);
    expect(planned.search?.objective).toBe('embedding');
    const { embeddings, bitsPerWeight } = await compress(options);
    expect(bitsPerWeight).toBe(planned.bitsPerWeight);
    const expected = planned.search?.divergence ?? Number.NaN;
    const distance = 1 - (embeddings?.cosine.mean ?? Number.NaN);
    expect(distance).toBeGreaterThan(expected / 3);
    expect(distance).toBeLessThan(expected * 2);
  });
});

// Q-BERT (Shen et al., 2019): groups with scales of their own beat one scale for a matrix.
test('groups beat one scale for a whole matrix at equal bits, on a block of all-MiniLM-L6-v2', async () => {
  const original = join(folder, 'minilm');
  await writeSmallMiniLm(original, 1, 3000);
  const lossOf = async (type: string) => {
    const output = join(folder, `minilm-${type}`);
    const options = { ...shared, tokens: 256, solver: 'rtn', embeddingType: 'f32' };
    const { embeddings, bitsPerWeight } = await compress({ ...options, model: original, output, type });
    return { bitsPerWeight, loss: 1 - (embeddings?.cosine.mean ?? Number.NaN) };
  };
  const [tensor, groups] = [await lossOf('int4-tensor'), await lossOf('int3-g32')];
  expect(groups.bitsPerWeight).toBeLessThan(tensor.bitsPerWeight);
  expect(groups.loss).toBeLessThan(tensor.loss);
});
