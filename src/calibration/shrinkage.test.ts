import { expect, test } from 'vitest';
import { shrinkMoments } from './shrinkage.js';

test('what lies off the diagonal is shrunk, of cross moments too', () => {
  const matrix = (...data: readonly number[]) => ({ rows: 2, cols: 2, data: Float32Array.from(data) });
  const moments = () => ({ gram: matrix(4, 2, 2, 8), crossMoments: matrix(1, -1, 0.5, 2), tokens: 3 });
  expect(shrinkMoments(moments(), 0.75)).toEqual({
    gram: matrix(4, 0.5, 0.5, 8),
    crossMoments: matrix(1, -0.25, 0.125, 2),
    tokens: 3,
    shrinkage: 0.75,
  });
  expect(shrinkMoments(moments(), 0)).toEqual({ ...moments(), shrinkage: 0 });
});
