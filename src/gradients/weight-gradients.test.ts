import { expect, test } from 'vitest';
import { randomModel, tiny } from '../../test/fixtures/random-model.js';
import { denseFisher } from '../../test/reference/fisher.js';
import { uniform } from '../../test/reference/random.js';
import type { TensorSpec } from '../architecture/architecture.js';
import { createForward } from '../architecture/forward.js';
import { weightGradients } from './weight-gradients.js';

const next = uniform(11);
const texts = [6, 4].map((length) => Int32Array.from({ length }, () => Math.floor(16 * next())));

/** Σ −log p(next token) over one text. */
async function lossOf(model: ReturnType<typeof randomModel>, text: Int32Array): Promise<number> {
  const { architecture, readBlock } = model;
  const forward = createForward(architecture);
  const outside = await readBlock(undefined);
  let hidden = await forward.embedAll([text], outside);
  for (let block = 0; block < architecture.layers; block++)
    hidden = await forward.blockAll(block, hidden, await readBlock(block));
  const logits = await forward.logits(hidden[0]?.data ?? new Float32Array(), outside);
  await forward.release();
  let loss = 0;
  for (let t = 0; t + 1 < text.length; t++) {
    const row = logits.subarray(t * 16, (t + 1) * 16);
    loss += Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - (row[text[t + 1] ?? 0] ?? 0);
  }
  return loss;
}

test.each(['gpt2', 'llama'] as const)('gradients of %s are the slopes of the loss', async (name) => {
  const model = randomModel(tiny[name], 0.4);
  const found = new Map<TensorSpec, Float32Array[]>();
  await weightGradients(model, texts, 'text', async (spec, { sequences, tokens, of }) => {
    expect([sequences, tokens]).toEqual([2, 8]);
    found.set(spec, [await of(0), await of(1)]);
  });
  const wanted = model.architecture.tensors.filter(({ kind }) =>
    ['linear', 'embedding', 'head'].includes(kind),
  );
  expect(new Set(found.keys())).toEqual(new Set(wanted));
  for (const spec of wanted) {
    const weight = model.weights.get(spec) ?? new Float32Array();
    for (const [sequence, gradient] of (found.get(spec) ?? []).entries()) {
      expect(gradient).toHaveLength(weight.length);
      const text = texts[sequence] ?? new Int32Array();
      // The rows of a table that the text has, and some of the others.
      const start = spec.kind === 'linear' ? 5 : (text[1] ?? 0) * 8;
      for (const place of [start, (start + 37) % weight.length]) {
        const before = weight[place] ?? 0;
        const at = async (by: number) => {
          weight[place] = before + by;
          return lossOf(model, text);
        };
        const slope = ((await at(0.01)) - (await at(-0.01))) / 0.02;
        weight[place] = before;
        expect(gradient[place], `${spec.names.gguf} ${place}`).toBeCloseTo(slope, 2);
      }
    }
  }
});

test('with drawn labels squares and products of gradients have the Fisher information as their mean', async () => {
  const model = randomModel(tiny.llama, 0.4);
  // Each copy of a text gets labels of its own.
  const copies = Array.from({ length: 600 }, () => texts).flat();
  const sums = new Map<string, Float64Array>();
  const roles = ['blk.1.attn_v.weight', 'output.weight'];
  await weightGradients(model, copies, 'drawn', async (spec, { sequences, tokens, of }) => {
    if (!roles.includes(spec.names.gguf)) return;
    expect(tokens).toBe(6000);
    const size = model.weights.get(spec)?.length ?? 0;
    const sum = new Float64Array(size * size);
    sums.set(spec.names.gguf, sum);
    for (let sequence = 0; sequence < sequences; sequence++) {
      const gradient = await of(sequence);
      for (let a = 0; a < size; a++)
        for (let b = 0; b < size; b++)
          sum[a * size + b] = (sum[a * size + b] ?? 0) + ((gradient[a] ?? 0) * (gradient[b] ?? 0)) / tokens;
    }
  });
  for (const role of roles) {
    const spec = model.architecture.tensors.find(({ names }) => names.gguf === role);
    if (!spec) throw new Error(`there is no ${role}`);
    const dense = await denseFisher(model, texts, spec);
    const found = sums.get(role) ?? new Float64Array();
    const norm = (values: Float64Array) => Math.hypot(...values);
    expect(norm(found.map((value, i) => value - (dense[i] ?? 0))) / norm(dense), role).toBeLessThan(0.15);
    const size = Math.sqrt(dense.length);
    const diagonal = (matrix: Float64Array) =>
      Array.from({ length: size }, (_, i) => matrix[i * (size + 1)] ?? 0).reduce((a, b) => a + b, 0);
    expect(diagonal(found) / diagonal(dense), role).toBeCloseTo(1, 1);
  }
});

test('an encoder has no next tokens', async () => {
  const model = randomModel(tiny.bert, 0.4);
  await expect(weightGradients(model, texts, 'text', async () => {})).rejects.toThrow(
    'an encoder predicts no tokens',
  );
});
