import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import type { Predictor } from './predictor.js';
import { score } from './score.js';

const [vocabulary, length] = [3000, 12];
const sequences = [1, 2, 3].map((seed) =>
  Int32Array.from(normals(length, seed), (value) => Math.floor(Math.abs(value * 1e6)) % vocabulary),
);
const tables = (seed: number, like?: Float32Array) =>
  sequences.map((_, at) => {
    const noise = normals(length * vocabulary, seed + at);
    return like ? noise.map((value, i) => (like[i] ?? 0) + value / 4) : noise.map((value) => 3 * value);
  });
const original = tables(10);
const changed = original.map((like, at) => tables(20 + at, like)[at] as Float32Array);

/** Gives all logits of a position at once, or those of some tokens for many positions. */
function predictor(logits: readonly Float32Array[], parts: boolean): Predictor {
  const rows = (sequence: number, from: number, to: number) =>
    logits[sequence]?.subarray(from * vocabulary, to * vocabulary) ?? new Float32Array();
  return {
    vocabulary,
    logits: async (...span) => rows(...span),
    ...(parts && {
      part: async (spans, from, to) =>
        Float32Array.from(
          spans.flatMap(({ sequence, from: first, to: last }) =>
            Array.from({ length: last - first }, (_, i) => [
              ...rows(sequence, first + i, first + i + 1).subarray(from, to),
            ]).flat(),
          ),
        ),
    }),
    release: async () => {},
  };
}

/** By the definitions, in double precision. */
function expected(sequence: number, position: number) {
  const row = (logits: readonly Float32Array[]) => {
    const values = [
      ...(logits[sequence]?.subarray(position * vocabulary, (position + 1) * vocabulary) ?? []),
    ];
    const total = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
    return values.map((value) => value - total);
  };
  const [p, q] = [row(original), row(changed)];
  const label = sequences[sequence]?.[position + 1] ?? 0;
  const shifts = p.map((value, i) => value - (q[i] ?? 0));
  const top = (values: readonly number[]) => values.indexOf(Math.max(...values));
  return {
    loss: -(q[label] ?? 0),
    referenceLoss: -(p[label] ?? 0),
    divergence: p.reduce((sum, value, i) => sum + Math.exp(value) * (shifts[i] ?? 0), 0),
    sameTop: Number(top(p) === top(q)),
    largestShift: Math.max(...shifts.map(Math.abs)),
  };
}

const positions = sequences.flatMap((_, sequence) =>
  Array.from({ length: length / 2 - 1 }, (_, i) => expected(sequence, length / 2 + i)),
);

test.each([
  [false, false],
  [true, false],
  [false, true],
  [true, true],
])('distributions are those of all logits, in parts %s and the reference %s', async (own, other) => {
  const { loss, reference } = await score(sequences, predictor(changed, own), predictor(original, other), {
    partTokens: 700,
  });
  expect(loss).toHaveLength(positions.length);
  for (const [at, position] of positions.entries()) {
    expect(loss[at]).toBeCloseTo(position.loss, 4);
    expect(reference?.loss[at]).toBeCloseTo(position.referenceLoss, 4);
    expect(reference?.divergence[at]).toBeCloseTo(position.divergence, 4);
    expect(reference?.largestShift[at]).toBeCloseTo(position.largestShift, 4);
    expect(reference?.sameTop[at]).toBe(position.sameTop);
  }
  expect(positions.some(({ sameTop }) => sameTop === 0)).toBe(true);
});

test('a model does not differ from itself', async () => {
  const { reference } = await score(sequences, predictor(original, true), predictor(original, false));
  expect(Math.max(...(reference?.divergence ?? [1]))).toBe(0);
  expect(Math.max(...(reference?.largestShift ?? [1]))).toBe(0);
});
