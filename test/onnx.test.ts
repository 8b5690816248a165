import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { AutoModelForCausalLM, AutoTokenizer, env, pipeline } from '@huggingface/transformers';
import * as ort from 'onnxruntime-web/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openModel } from '../src/architecture/model.js';
import { openCheckpoint } from '../src/checkpoint/open.js';
import { predict } from '../src/evaluation/predictor.js';
import { compress } from '../src/pipeline/compress.js';
import { evaluate } from '../src/pipeline/evaluate.js';
import type { CompressResult } from '../src/pipeline/measure/result.js';
import type { CompressOptions } from '../src/pipeline/options.js';
import { plan } from '../src/pipeline/plan.js';
import { checkOnnxFolder } from '../src/writer/onnx-folder.js';
import { tersor } from './fixtures/command.js';
import { tales } from './fixtures/data.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-onnx-'));
afterAll(() => rmSync(folder, { recursive: true }));

env.allowRemoteModels = false;
env.localModelPath = folder;

const output = join(folder, 'tales');
const options = {
  model: tales.model,
  output,
  format: 'onnx',
  type: 'int4',
  embeddingType: 'int4-g64-asym',
  overrides: [
    { pattern: /v_proj/, type: 'int8-asym' },
    { pattern: /k_proj/, type: 'f16' },
  ],
  calibration: tales.calibration,
  tokens: 512,
  solver: 'rtn',
} satisfies CompressOptions;
const file = join(output, 'onnx', 'model_q4.onnx');

let result: CompressResult;
beforeAll(async () => {
  result = await compress(options);
});

/** log softmax of one row. */
function logProbabilities(logits: Float32Array): Float64Array {
  const top = logits.reduce((a, b) => Math.max(a, b));
  const total = logits.reduce((sum, value) => sum + Math.exp(value - top), 0);
  return Float64Array.from(logits, (value) => value - top - Math.log(total));
}

function largestShift(actual: Float32Array, expected: Float32Array, vocabulary: number): number {
  let shift = 0;
  for (let at = 0; at < expected.length; at += vocabulary) {
    const [p, q] = [actual, expected].map((rows) => logProbabilities(rows.subarray(at, at + vocabulary)));
    p?.forEach((value, index) => {
      shift = Math.max(shift, Math.abs(value - (q?.[index] ?? Number.NaN)));
    });
  }
  return shift;
}

describe('a folder for transformers.js', () => {
  test('has what it looks for, and the size that was planned', async () => {
    expect(readdirSync(output).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'onnx',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(statSync(file).size).toBe(result.bytes);
    expect((await plan(options)).bytes).toBe(result.bytes);
    expect(JSON.parse(readFileSync(join(output, 'generation_config.json'), 'utf8'))).toMatchObject({
      bos_token_id: 0,
      eos_token_id: 1,
    });
  });

  test('predicts in onnxruntime what tersor predicts', () => {
    expect(result.verified).toMatchObject({ runtime: 'onnxruntime', bounded: 'largestShift', bound: 0.02 });
    expect(result.verified?.largestShift).toBeLessThan(0.001);
  });

  test('gives the logits that tersor computes from the stored weights', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained(basename(output));
    const model = await AutoModelForCausalLM.from_pretrained(basename(output), { dtype: 'q4' });
    const inputs = tokenizer('Once upon a time there was a fox who could not sleep.');
    const ids: number[] = Array.from(inputs.input_ids.data, Number);
    const { logits } = await model(inputs);
    const own = await openModel(await openCheckpoint(output));
    const predictor = await predict(own, [Int32Array.from(ids)]);
    const expected = await predictor.logits(0, 0, ids.length);
    expect(logits.dims).toEqual([1, ids.length, predictor.vocabulary]);
    expect(largestShift(logits.data, expected, predictor.vocabulary)).toBeLessThan(0.02);
    await predictor.release();
    await own.checkpoint.close();
  });

  test('tells stories, several at a time', async () => {
    const generate = await pipeline('text-generation', basename(output), { dtype: 'q4' });
    const settings = { max_new_tokens: 12, do_sample: false, return_full_text: true };
    const prompts = ['Once upon a time there was a little', 'The dog'];
    const together = await generate(prompts, settings);
    const alone = await generate('The dog', settings);
    expect(together[1]).toEqual(alone);
    expect(JSON.stringify(alone).length).toBeGreaterThan(60);
    const run = await tersor('run', output, 'The dog', '--temperature', '0', '--max-tokens', '12');
    expect(run.stdout.trim()).toBe((alone as { generated_text: string }[])[0]?.generated_text.trim());
  });

  test('opens in the build for browsers', async () => {
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(file)), {
      executionProviders: ['wasm'],
    });
    expect(session.inputNames.slice(0, 3)).toEqual(['input_ids', 'attention_mask', 'position_ids']);
    await session.release();
  });

  test('is read back like any other model', async () => {
    const settings = { against: tales.model, text: tales.evaluation, tokens: 512 };
    const own = await evaluate({ model: output, ...settings });
    const theirs = await evaluate({ model: file, runtime: 'onnxruntime', ...settings });
    expect(own.divergence?.mean).toBeGreaterThan(0.005);
    expect(theirs.divergence?.mean).toBeCloseTo(own.divergence?.mean ?? Number.NaN, 4);
  });

  test('replaces a folder of tersor’s, and nothing else', async () => {
    const other = join(folder, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'thesis.txt'), 'ten years');
    await expect(compress({ ...options, output: other })).rejects.toThrow('did not write');
    await checkOnnxFolder(output);
  });

  test('GGUF’s types are refused by name', async () => {
    await expect(plan({ ...options, type: 'q4_k' })).rejects.toThrow('onnx cannot hold the type q4_k');
  });
});
