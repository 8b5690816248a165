import { describe, expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { createHeldOutCollector, heldOutRows, mostHeldOut, mostKept } from './held-out.js';

const batches = (...sizes: readonly (readonly [sequences: number, length: number])[]) =>
  sizes.map(([sequences, length]) => ({ sequences, length }));
const count = (rows: ReturnType<typeof heldOutRows>) =>
  rows.flat().reduce((sum, each) => sum + each.count, 0);

describe('rows that are held out', () => {
  test('are every eighth sequence, spread over the text', () => {
    expect(heldOutRows(batches([12, 10], [4, 10]))).toEqual([
      [{ from: 40, count: 10 }],
      [{ from: 0, count: 10 }],
    ]);
  });

  test('are fewer where the text is long', () => {
    const rows = heldOutRows(batches(...Array.from({ length: 64 }, () => [4, 256] as const)));
    expect(count(rows)).toBe(mostHeldOut);
    expect(rows.slice(0, 32).flat()).toHaveLength(2);
  });

  test('are one sequence of a few, and the ends of fewer', () => {
    expect(heldOutRows(batches([3, 16], [2, 8]))).toEqual([[{ from: 32, count: 16 }], []]);
    expect(heldOutRows(batches([2, 16], [1, 8]))).toEqual([
      [
        { from: 14, count: 2 },
        { from: 30, count: 2 },
      ],
      [{ from: 7, count: 1 }],
    ]);
    expect(heldOutRows(batches([1, 7]))).toEqual([[]]);
  });
});

test('of many rows some are kept, without a period', () => {
  const rows = Array.from({ length: 8 }, () => [{ from: 0, count: 256 }]);
  const { inputs, take, tokens } = createHeldOutCollector(rows, 1);
  expect(tokens).toBe(2048);
  expect(Math.abs(inputs.rows - mostKept)).toBeLessThan(3);
  for (const batch of rows.keys())
    take(
      batch,
      Float32Array.from({ length: 256 }, (_, at) => 256 * batch + at),
    );
  const gaps = [...inputs.data].slice(1).map((token, at) => token - (inputs.data[at] ?? 0));
  expect(Math.max(...gaps)).toBeLessThan(9);
  expect(Math.min(...gaps)).toBeGreaterThan(1);
  // A quarter of the first tokens of the sequences, too.
  expect([...inputs.data].filter((token) => token % 256 === 0).length).toBeLessThan(5);
});

test('the rows of all batches that are held out are collected', () => {
  const rows = [[{ from: 1, count: 2 }], [], [{ from: 0, count: 1 }]];
  const batches = [1, 2, 3].map((seed) => normals(4 * 3, seed));
  const collector = createHeldOutCollector(rows, 3);
  for (const [at, batch] of batches.entries()) collector.take(at, batch);
  expect(collector.tokens).toBe(3);
  expect(collector.inputs.data).toEqual(
    Float32Array.of(...(batches[0]?.subarray(3, 9) ?? []), ...(batches[2]?.subarray(0, 3) ?? [])),
  );
});
