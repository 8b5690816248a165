import { describe, expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { decoder } from '../architecture/decoder.js';
import { gpt2 } from '../architecture/gpt2.js';
import { llama } from '../architecture/llama.js';
import { combinedMoments, embeddingMoments } from './embedding.js';
import { createCalibrator } from './walk.js';

const size = 16;
const shared = {
  layers: 1,
  hidden: size,
  intermediate: 24,
  heads: 4,
  vocabulary: 32,
  context: 32,
  epsilon: 1e-5,
};
const architectures = {
  llama: {
    architecture: llama(
      { ...shared, modelType: 'llama', kvHeads: 2, rotary: { headDim: 4, theta: 10000 } },
      () => false,
    ),
    readers: { attn_norm: ['attn_q', 'attn_k', 'attn_v'], ffn_norm: ['ffn_gate', 'ffn_up'] },
  },
  'a decoder with norms behind its layers': {
    architecture: decoder(
      {
        ...shared,
        modelType: 'olmo2',
        gguf: 'olmo2',
        kvHeads: 2,
        headDim: 4,
        blocks: [{ rotary: { headDim: 4, theta: 10000 } }],
        activation: 'silu',
        norms: 'behind',
      },
      () => false,
    ),
    readers: { '': ['attn_q', 'attn_k', 'attn_v'] },
  },
  gpt2: {
    architecture: gpt2(shared, () => false),
    readers: { attn_norm: ['attn_qkv'], ffn_norm: ['ffn_up'] },
  },
};
const hidden = [{ batch: { sequences: 2, length: 8 }, data: normals(16 * size, 100) }];

describe.each(Object.entries(architectures))(
  'errors of an embedding of %s',
  (_, { architecture, readers }) => {
    const weights = Object.fromEntries(
      architecture.tensors
        .filter(({ block }) => block === 0)
        .map(({ role, shape }, index) => [
          role,
          normals(
            shape.reduce((a, b) => a * b, 1),
            index + 1,
          ),
        ]),
    );

    test('count by what the layers behind norms make of them', async () => {
      const calibrator = createCalibrator(architecture);
      const grams = new Map<string, Float32Array>();
      await calibrator.walk({ block: 0, hidden, weights }, async (roles, { gram }) => {
        for (const role of roles) grams.set(role, gram.data);
      });
      const { gram, tokens } = await embeddingMoments(architecture, calibrator, { hidden, weights });
      await calibrator.release();
      expect(tokens).toBe(16);

      const loss = (delta: ArrayLike<number>) => {
        let sum = 0;
        for (const [norm, layers] of Object.entries(readers)) {
          const gain = weights[`${norm}.weight`] ?? new Float32Array(size).fill(1);
          for (const layer of layers) {
            const weight = weights[`${layer}.weight`] ?? new Float32Array();
            const scaled = Array.from(gain, (x, i) => x * (delta[i] ?? 0));
            let energy = 0;
            for (let r = 0; r < weight.length; r += size)
              energy += quadratic(grams.get(`${layer}.weight`) ?? [], weight.subarray(r, r + size));
            for (let r = 0; r < weight.length; r += size) {
              const output = scaled.reduce((total, x, i) => total + x * (weight[r + i] ?? 0), 0);
              sum += output ** 2 / energy;
            }
          }
        }
        return sum;
      };
      // In units of the mean over the columns.
      const mean = Array.from({ length: size }, (_, i) => loss(unitVector(i))).reduce((a, b) => a + b) / size;
      for (const delta of [unitVector(3), normals(size, 50), normals(size, 51)]) {
        expect(quadratic(gram.data, delta) / (loss(delta) / mean)).toBeCloseTo(1, 4);
      }
    });
  },
);

test('a matrix that is both counts each for half, whatever their units', () => {
  const diagonal = (...values: number[]) => ({
    gram: { rows: 2, cols: 2, data: Float32Array.of(values[0] ?? 0, 0, 0, values[1] ?? 0) },
    tokens: 7,
  });
  const { gram, tokens } = combinedMoments(diagonal(1, 3), diagonal(300, 100));
  expect([...gram.data]).toEqual([1, 0, 0, 1]);
  expect(tokens).toBe(7);
});

const unitVector = (at: number) => Array.from({ length: size }, (_, i) => Number(i === at));

/** x A xᵀ. */
function quadratic(a: ArrayLike<number>, x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) sum += (x[i] ?? 0) * (a[i * size + j] ?? 0) * (x[j] ?? 0);
  return sum;
}
