import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { bertFromHuggingFace } from './bert.js';
import { encoder } from './encoder.js';
import { createForward } from './forward.js';

const shape = {
  ...bertFromHuggingFace(
    {
      num_hidden_layers: 2,
      hidden_size: 12,
      intermediate_size: 20,
      num_attention_heads: 3,
      vocab_size: 30,
      max_position_embeddings: 16,
      layer_norm_eps: 1e-3,
    },
    { file: 'config.json', pooling: 'mean' },
  ),
  layers: 2,
};
const architecture = encoder(shape);
const weights = new Map(
  architecture.tensors.map((spec, seed) => {
    const size = spec.shape.reduce((a, b) => a * b, 1);
    const gain = spec.kind === 'norm' ? 1 : 0;
    return [spec, normals(size, seed + 1).map((value) => gain + 0.5 * value)] as const;
  }),
);
const ofBlock = (block: number | undefined) =>
  Object.fromEntries(
    [...weights].flatMap(([spec, data]) => (spec.block === block ? [[spec.role, data]] : [])),
  );

/** The equations of Devlin et al. (2018) and Vaswani et al. (2017), one token and one number at a time. */
function reference(tokens: Int32Array): Float32Array {
  const { hidden, intermediate, heads } = shape;
  const width = hidden / heads;
  const outside = ofBlock(undefined);
  const at = (data: Float32Array | undefined, index: number) => data?.[index] ?? Number.NaN;
  const norm = (x: number[], gain?: Float32Array, bias?: Float32Array) => {
    const mean = x.reduce((a, b) => a + b) / x.length;
    const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    return x.map(
      (value, i) => ((value - mean) / Math.sqrt(variance + shape.epsilon)) * at(gain, i) + at(bias, i),
    );
  };
  const linear = (x: number[], rows: number, weight?: Float32Array, bias?: Float32Array) =>
    Array.from({ length: rows }, (_, row) =>
      x.reduce((sum, value, col) => sum + at(weight, row * x.length + col) * value, at(bias, row)),
    );
  const plus = (a: number[], b: number[]) => a.map((value, i) => value + (b[i] ?? Number.NaN));

  let states = Array.from(tokens, (token, position) =>
    norm(
      Array.from(
        { length: hidden },
        (_, i) =>
          at(outside['token_embd.weight'], token * hidden + i) +
          at(outside['position_embd.weight'], position * hidden + i) +
          at(outside['token_types.weight'], i),
      ),
      outside['token_embd_norm.weight'],
      outside['token_embd_norm.bias'],
    ),
  );
  for (let block = 0; block < shape.layers; block++) {
    const w = ofBlock(block);
    const project = (name: string) =>
      states.map((x) => linear(x, hidden, w[`${name}.weight`], w[`${name}.bias`]));
    const [q, k, v] = [project('attn_q'), project('attn_k'), project('attn_v')];
    states = states.map((x, query) => {
      const mixed = Array.from({ length: hidden }, (_, i) => {
        const head = Math.floor(i / width) * width;
        const scores = k.map((key) => {
          let dot = 0;
          for (let j = head; j < head + width; j++) dot += (q[query]?.[j] ?? 0) * (key[j] ?? 0);
          return Math.exp(dot / Math.sqrt(width));
        });
        const total = scores.reduce((a, b) => a + b);
        return scores.reduce((sum, score, key) => sum + (score / total) * (v[key]?.[i] ?? 0), 0);
      });
      const attended = plus(linear(mixed, hidden, w['attn_output.weight'], w['attn_output.bias']), x);
      const y = norm(attended, w['attn_output_norm.weight'], w['attn_output_norm.bias']);
      const inner = linear(y, intermediate, w['ffn_up.weight'], w['ffn_up.bias']).map(gelu);
      const sum = plus(linear(inner, hidden, w['ffn_down.weight'], w['ffn_down.bias']), y);
      return norm(sum, w['layer_output_norm.weight'], w['layer_output_norm.bias']);
    });
  }
  return Float32Array.from(states.flat());
}

/** x Φ(x), the error function by Abramowitz and Stegun, 7.1.26, to 1.5e-7. */
function gelu(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const series = [0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];
  const erf = 1 - series.reduceRight((sum, coefficient) => t * (coefficient + sum), 0) * Math.exp(-z * z);
  return (x / 2) * (1 + Math.sign(x) * erf);
}

test('computes what the equations say, for texts of several lengths at once', async () => {
  const texts = [Int32Array.of(2, 7, 29), Int32Array.of(2, 0, 3), Int32Array.of(2, 11, 5, 5, 28, 1, 3)];
  const forward = createForward(architecture, { threads: 1 });
  let hidden = await forward.embedAll(texts, ofBlock(undefined));
  expect(hidden.map(({ batch }) => batch)).toEqual([
    { sequences: 2, length: 3 },
    { sequences: 1, length: 7 },
  ]);
  for (let block = 0; block < shape.layers; block++)
    hidden = await forward.blockAll(block, hidden, ofBlock(block));
  await forward.release();
  const actual = hidden.flatMap(({ data }) => [...data]);
  const expected = texts.flatMap((text) => [...reference(text)]);
  expect(actual.length).toBe(expected.length);
  const worst = Math.max(...actual.map((value, i) => Math.abs(value - (expected[i] ?? Number.NaN))));
  expect(worst).toBeLessThan(2e-5);
});

test('has no position outside its tensors and one name for each', () => {
  const names = architecture.tensors.map(({ names: { huggingface } }) => huggingface);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain('encoder.layer.1.attention.output.LayerNorm.weight');
  expect(names).toContain('embeddings.token_type_embeddings.weight');
});
