import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { predictWithLlama } from '../src/evaluation/llama.js';
import { predict } from '../src/evaluation/predictor.js';
import { score } from '../src/evaluation/score.js';
import { compress } from '../src/pipeline/compress.js';
import { withContext } from '../src/pipeline/context/context.js';
import { runtimes } from '../src/pipeline/formats/runtime.js';
import { decoders, huggingFaceModels, notInGguf, notInOnnx } from './fixtures/hugging-face.js';
import { type Micro, micros, writeMicro } from './fixtures/micro.js';
import { uniform } from './reference/random.js';

const seed = 7;
const random = uniform(seed);
// All models have at least so many tokens; 128 of them are more than any of the windows.
const vocabulary = 512;
const sequences = Array.from({ length: 4 }, () =>
  Int32Array.from({ length: 128 }, () => Math.floor(random() * vocabulary)),
);

/** Models that Hugging Face's own code made; test/hugging-face.test.ts compares its outputs. */
const madeModels = [...huggingFaceModels()]
  .filter(([name]) => decoders.has(name))
  .map(([name, path]) => [`${name} (Hugging Face)`, path] as const);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-architectures-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** By name: where a model is, which may have to be written. */
function modelsOf(small: Readonly<Record<string, Micro>>): [string, () => Promise<string>][] {
  return [
    ...Object.entries(small).map(([name, micro]): [string, () => Promise<string>] => [
      name,
      async () => {
        await writeMicro(join(folder, name), micro, seed);
        return join(folder, name);
      },
    ]),
    ...madeModels.map(([name, path]): [string, () => Promise<string>] => [name, async () => path]),
  ];
}

/** Settings with which llama.cpp computes what these families do; the weights are the same. */
const changed: Readonly<Record<string, object>> = {
  gemma2: { query_pre_attn_scalar: 32 },
  exaone4: { sliding_window: null, layer_types: null },
};
const changedModels = Object.entries(changed).map(([name, change]): [string, () => Promise<string>] => [
  `${name} with other settings`,
  async () => {
    const copy = join(folder, `${name} with other settings`);
    await cp(huggingFaceModels().get(name) ?? '', copy, { recursive: true });
    const config = JSON.parse(await readFile(join(copy, 'config.json'), 'utf8'));
    await writeFile(join(copy, 'config.json'), JSON.stringify({ ...config, ...change }));
    return copy;
  },
]);
const changedThere = changedModels.filter(([name]) => huggingFaceModels().has(name.split(' ')[0] ?? ''));

describe('every architecture predicts what llama.cpp predicts from the F32 GGUF that tersor writes', () => {
  const all = [...modelsOf(micros), ...changedThere];
  test.each(all.filter(([name]) => !notInGguf.has(name)))('%s', async (name, modelOf) => {
    const model = await modelOf();
    const output = join(folder, `${name}.gguf`);
    // llama.cpp takes gelu from a table of half floats.
    const tolerance = /gemma|gpt2 \(|gpt-neox|phi \(|starcoder/.test(name) ? 0.02 : 0.002;
    // llama.cpp expects certain tokens of models with certain names.
    await compress({ model, output, name: 'micro', type: 'f32', solver: 'rtn', tokens: 256, context: 64 });

    await withContext({}, {}, async (context) => {
      const llama = await predictWithLlama(output, sequences, context);
      for (const path of [model, output]) {
        const tersor = await predict(await context.open(path), sequences, context);
        const { reference } = await score(sequences, llama, tersor, context);
        expect(Math.max(...(reference?.largestShift ?? [Number.NaN])), path).toBeLessThan(tolerance);
        await tersor.release();
      }
      await llama.release();
    });
  });
});

describe('every architecture predicts the same in onnxruntime', () => {
  const { mistral } = micros;
  const windowed = { ...mistral, config: { ...mistral.config, sliding_window: 24 } };
  const all = modelsOf({ ...micros, 'mistral with a window': windowed });
  test.each(all.filter(([name]) => !notInOnnx.has(name)))('%s', async (name, modelOf) => {
    const model = await modelOf();
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
