import { describe, expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { decoder } from '../architecture/decoder.js';
import { createForward } from '../architecture/forward.js';
import { elements } from '../graph/ops.js';
import type { Matrix, Moments } from '../types.js';
import { heldOutRows } from './held-out.js';
import { createObserver } from './observe.js';
import { borrowedWeight } from './routed.js';
import { createCalibrator } from './walk.js';

const seed = 11;
const [hidden, count, used] = [16, 6, 2];
const architecture = decoder(
  {
    modelType: 'qwen2_moe',
    gguf: 'qwen2moe',
    hidden,
    intermediate: 24,
    heads: 4,
    kvHeads: 2,
    headDim: 4,
    vocabulary: 32,
    context: 64,
    epsilon: 1e-5,
    activation: 'silu',
    blocks: [
      {
        rotary: { headDim: 4, theta: 10000 },
        experts: { count, used, intermediate: 8, normalized: true, shared: { intermediate: 8, gated: true } },
      },
    ],
  },
  ({ kind }) => kind === 'head',
);
const weights = Object.fromEntries(
  architecture.tensors
    .filter(({ block }) => block === 0)
    .map(({ role, shape, kind }, at) => [
      role,
      normals(elements(shape), seed + at).map((value) => (kind === 'norm' ? 1 : 0) + 0.5 * value),
    ]),
);
// Two pairs of opposite scores: of these two are above 0, which is the score of the last expert.
const router = weights['ffn_gate_inp.weight'] ?? new Float32Array();
for (const row of [0, 2])
  router.set(
    router.subarray(row * hidden, (row + 1) * hidden).map((value) => -value),
    (row + 1) * hidden,
  );
router.fill(0, (count - 1) * hidden);
// The last batch is smaller, as the last one of a text often is.
const batches = [4, 4, 1].map((sequences, index) => {
  const batch = { sequences, length: 8 };
  return { batch, data: normals(sequences * 8 * hidden, 100 + index) };
});

/** Σ w x xᵀ / Σ w */
function weighted(rows: readonly Float32Array[], weightOf: (row: number) => number): Float64Array {
  const sum = new Float64Array(hidden * hidden);
  let total = 0;
  for (const [at, row] of rows.entries()) {
    const weight = weightOf(at);
    total += weight;
    for (let i = 0; i < hidden; i++)
      for (let j = 0; j < hidden; j++)
        sum[i * hidden + j] = (sum[i * hidden + j] ?? 0) + weight * (row[i] ?? 0) * (row[j] ?? 0);
  }
  return sum.map((value) => value / total);
}

const rowsOf = ({ rows, cols, data }: Matrix) =>
  Array.from({ length: rows }, (_, row) => data.subarray(row * cols, (row + 1) * cols));

/** Inputs of the layer, and which tokens choose which expert, computed from them alone. */
async function reference() {
  const observer = createObserver(architecture);
  const inputs: Float32Array[] = [];
  const own: Float32Array[][] = Array.from({ length: count }, () => []);
  for (const states of batches) {
    const { sites } = await observer.observe(0, states, weights);
    const rowsAt = (role: string) => {
      const site = sites.find(({ roles }) => roles.includes(role));
      return site ? rowsOf(site.inputs) : [];
    };
    inputs.push(...rowsAt('ffn_gate_shexp.weight'));
    for (const [expert, rows] of own.entries()) rows.push(...rowsAt(`ffn_gate_exps.${expert}.weight`));
  }
  await observer.release();
  const chosen = inputs.map((x) => {
    const scores = Array.from({ length: count }, (_, expert) =>
      x.reduce((sum, value, i) => sum + value * (router[expert * hidden + i] ?? 0), 0),
    );
    const order = [...scores.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
    return order.slice(0, used);
  });
  return { inputs, chosen, own };
}

async function momentsOf(holdOut: boolean): Promise<Map<string, Moments>> {
  const calibrator = createCalibrator(architecture, { holdOut });
  const found = new Map<string, Moments>();
  await calibrator.walk({ block: 0, hidden: batches, weights }, async (roles, moments) => {
    for (const role of roles) found.set(role, moments);
  });
  await calibrator.release();
  return found;
}

describe(`experts of random weights (seed ${seed})`, async () => {
  const { inputs, chosen, own } = await reference();

  test('get the tokens that choose them', () => {
    for (const [expert, rows] of own.entries()) {
      const expected = inputs.filter((_, token) => chosen[token]?.includes(expert));
      expect(rows).toEqual(expected);
    }
    expect(own.map((rows) => rows.length > 0)).toEqual([true, true, true, true, true, false]);
  });

  test('are measured on these tokens alone', async () => {
    const found = await momentsOf(false);
    for (const [expert, rows] of own.entries()) {
      const { gram, tokens, routed } = found.get(`ffn_up_exps.${expert}.weight`) ?? { gram: undefined };
      expect([tokens, routed]).toEqual([rows.length, rows.length]);
      const expected = rows.length > 0 ? weighted(rows, () => 1) : new Float64Array(hidden * hidden);
      for (const [at, value] of expected.entries()) expect(gram?.data[at]).toBeCloseTo(value, 4);
    }
  });

  test('are fitted to these and to tokens of their layer, without those that are held out', async () => {
    const found = await momentsOf(true);
    let first = 0;
    const heldOut = new Set(
      heldOutRows(batches.map(({ batch }) => batch)).flatMap((ranges, at) => {
        const start = first;
        first += (batches[at]?.data.length ?? 0) / hidden;
        return ranges.flatMap(({ from, count: rows }) =>
          Array.from({ length: rows }, (_, row) => start + from + row),
        );
      }),
    );
    expect(heldOut.size).toBeGreaterThan(0);
    // The text is so short that all of its tokens are lent.
    const lent = inputs.length - heldOut.size;
    for (const expert of own.keys()) {
      const isOwn = (token: number) => chosen[token]?.includes(expert) === true;
      const { gram, tokens, routed, heldOut: judged } = found.get(`ffn_gate_exps.${expert}.weight`) ?? {};
      expect(routed).toBe(inputs.filter((_, token) => isOwn(token)).length);
      const counted = inputs.filter((_, token) => isOwn(token) && !heldOut.has(token)).length;
      expect(tokens).toBeCloseTo(counted + borrowedWeight, 3);
      expect(judged?.own.rows).toBe(heldOut.size);
      const expected = weighted(inputs, (token) =>
        heldOut.has(token) ? 0 : Number(isOwn(token)) + borrowedWeight / lent,
      );
      for (const [at, value] of expected.entries()) expect(gram?.data[at]).toBeCloseTo(value, 4);
    }
    // What the last one of an expert gets from no token is what its first ones make of the layer's.
    const inner = found.get(`ffn_down_exps.${count - 1}.weight`);
    expect(inner?.routed).toBe(0);
    expect(Math.min(...Array.from({ length: 8 }, (_, i) => inner?.gram.data[9 * i] ?? 0))).toBeGreaterThan(0);
  });

  test('give out what they do without tokens lent to them', async () => {
    const calibrator = createCalibrator(architecture, { holdOut: true });
    const { output } = await calibrator.walk({ block: 0, hidden: batches, weights }, async () => {});
    const forward = createForward(architecture);
    for (const [at, states] of batches.entries()) {
      const { data } = await forward.block(0, states, weights);
      expect(output[at]?.data.map((value, i) => (Math.abs(value - (data[i] ?? 0)) < 1e-5 ? 1 : 0))).toEqual(
        new Float32Array(data.length).fill(1),
      );
    }
    await Promise.all([calibrator.release(), forward.release()]);
  });
});
