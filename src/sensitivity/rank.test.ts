import { expect, test } from 'vitest';
import { ranks, spearman } from './rank.js';

test('ranks share ties; NaN and Infinity come last', () => {
  expect(ranks([10, 30, 20, 30, -1])).toEqual([2, 4.5, 3, 4.5, 1]);
  expect(ranks([Number.NaN, 1, Infinity])).toEqual([2.5, 1, 2.5]);
});

test('correlations of known values', () => {
  expect(spearman([1, 2, 3], [1, 10, 100])).toBeCloseTo(1, 15);
  expect(spearman([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 15);
  // Without ties 1 − 6 Σd² / n (n² − 1).
  expect(spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])).toBeCloseTo(1 - (6 * 4) / (5 * 24), 15);
  // Pearson of (1, 2.5, 2.5, 4) and (1, 2, 3, 4), by hand: 4.5 / √(4.5 · 5).
  expect(spearman([1, 2, 2, 3], [1, 2, 3, 4])).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 15);
  expect(spearman([1, 1, 1], [1, 2, 3])).toBe(0);
  expect(() => spearman([1], [1, 2])).toThrow('cannot correlate 1 values with 2');
});
