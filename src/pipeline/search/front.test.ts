import { expect, test } from 'vitest';
import { type FrontPoint, withKnee } from './front.js';

const points = (...pairs: readonly (readonly [bytes: number, divergence: number])[]): FrontPoint[] =>
  pairs.map(([bytes, divergence]) => ({
    bytes,
    bitsPerWeight: bytes,
    objective: 'prediction',
    divergence,
    types: {},
  }));
const kneeOf = (front: readonly FrontPoint[]) =>
  withKnee(front)
    .filter(({ knee }) => knee)
    .map(({ bytes }) => bytes);

test('the knee lies where a line from end to end is farthest above', () => {
  expect(kneeOf(points([2, 1], [3, 0.3], [4, 0.1], [6, 0.05], [8, 0]))).toEqual([4]);
  expect(kneeOf(points([2, 1], [3, 0.05], [4, 0.04], [6, 0.02], [8, 0]))).toEqual([3]);
});

test('where there is none, none is marked', () => {
  for (const front of [points(), points([2, 1]), points([2, 1], [4, 0]), points([2, 1], [3, 0.5], [4, 0])])
    expect(kneeOf(front)).toEqual([]);
});
