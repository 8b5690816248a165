import { expect, test } from 'vitest';
import type { Predictor } from './predictor.js';
import { score } from './score.js';

/** Takes the token at every position but the first for as likely as e to the power of the position. */
const model: Predictor = {
  vocabulary: 2,
  logits: async (_, from, to) =>
    Float32Array.from({ length: 2 * (to - from) }, (_, index) => (index % 2) * (from + (index >> 1))),
  release: async () => {},
};
const sequence = Int32Array.from([0, 1, 1, 1, 1, 1, 1, 1]);
const losses = (positions: readonly number[]) => positions.map((at) => Math.log1p(Math.exp(-at)));

test('what is scored lies behind the share that is context only', async () => {
  const half = await score([sequence, sequence], model);
  const most = await score([sequence], model, undefined, { unscored: 1 / 8 });
  for (const [scores, positions] of [
    [half, [4, 5, 6, 4, 5, 6]],
    [most, [1, 2, 3, 4, 5, 6]],
  ] as const) {
    expect(scores.loss).toHaveLength(positions.length);
    for (const [index, loss] of losses(positions).entries()) expect(scores.loss[index]).toBeCloseTo(loss, 5);
  }
});
