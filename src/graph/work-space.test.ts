import { expect, test } from 'vitest';
import * as g from './build.js';
import { workSpace } from './work-space.js';

const x = g.input('x', [10, 4]);
const weight = (rows: number, cols = 4) => g.input(`${rows} ${cols}`, [rows, cols]);

test('arrays count from where they are made to their last use', () => {
  const wide = g.linear(x, weight(100)); // 1000 floats
  const narrow = g.linear(wide, weight(2, 100)); // 20, while the wide one is still there
  const again = g.linear(narrow, weight(50, 2)); // 500, when it is gone
  expect(workSpace([g.linear(again, weight(1, 50))])).toBe(1020);
  expect(workSpace([g.add(g.linear(again, weight(100, 50)), wide)])).toBe(2500);
});

test('inputs, outputs and other views of an array take nothing', () => {
  const y = g.linear(x, weight(100));
  expect(workSpace([y])).toBe(0);
  expect(workSpace([g.transpose(g.reshape(y, [100, 10]), [1, 0])])).toBe(1000);
});

test('what only ops element by element need is written over', () => {
  const y = g.linear(x, weight(100));
  expect(workSpace([g.linear(g.sqrt(g.exp(y)), weight(1, 100))])).toBe(1000);
  expect(workSpace([g.linear(g.silu(y), weight(1, 100))])).toBe(2000);
});
