import { expect, test } from 'vitest';
import type { Hidden } from '../architecture/forward.js';
import { required } from '../required.js';
import { type BackwardState, walkBackward } from './walk-backward.js';

const batch = { sequences: 1, length: 1 };
const hidden = (value: number): Hidden => ({ batch, data: Float32Array.of(value) });

/** Blocks 1 to 3 of a model y = factor · x, with two batches. */
const stateOf = (factor: number): BackwardState => ({
  weightsOf: async () => ({ factor: Float32Array.of(factor) }),
  inputs: new Map([1, 2, 3].map((block) => [block, [hidden(10 * block), hidden(10 * block + 1)]])),
  upstream: [Float32Array.of(1), Float32Array.of(2)],
});

test('gradients of two models pass blocks from the last to the wanted one, side by side', async () => {
  const [double, triple] = [stateOf(2), stateOf(3)];
  const seen: unknown[] = [];
  await walkBackward(
    [double, triple],
    2,
    async ({ block, hidden: { data }, upstream, weights }) => ({
      entrance: upstream.map((value) => value * Number(weights.factor?.[0])),
      met: [block, data[0], upstream[0]],
    }),
    async (block, passed) =>
      void seen.push(
        block,
        passed.map((batches) => batches.map(({ met }) => met)),
      ),
  );
  expect(seen).toEqual([
    3,
    [
      [
        [3, 30, 1],
        [3, 31, 2],
      ],
      [
        [3, 30, 1],
        [3, 31, 2],
      ],
    ],
    2,
    [
      [
        [2, 20, 2],
        [2, 21, 4],
      ],
      [
        [2, 20, 3],
        [2, 21, 6],
      ],
    ],
  ]);
  for (const [state, factor] of [
    [double, 2],
    [triple, 3],
  ] as const) {
    expect([...state.inputs.keys()]).toEqual([1]);
    expect(state.upstream.map((gradient) => required([...gradient], 0))).toEqual([
      factor ** 2,
      2 * factor ** 2,
    ]);
  }
});
