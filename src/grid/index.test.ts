import { describe, expect, test } from 'vitest';
import { TersorError } from '../errors.js';
import { findGrid, gridFamilies, gridNames } from './index.js';

describe('the table of grids', () => {
  test.each(gridFamilies.flatMap(({ examples, title }) => examples.map((name) => [name, title] as const)))(
    '%s is a type of one family: %s',
    (name, title) => {
      const finders = gridFamilies.filter(({ find }) => find(name));
      expect(finders.map((family) => family.title)).toEqual([title]);
      const grid = findGrid(name);
      expect(grid.name).toBe(name);
      expect(grid.runtimes).toContain('tersor');
      expect(grid.bytes(64, 768)).toBeGreaterThan(0);
    },
  );

  test('types of GGUF are of no family', () => {
    for (const name of gridNames) {
      expect(findGrid(name).name).toBe(name);
      expect(gridFamilies.filter(({ find }) => find(name))).toEqual([]);
    }
  });

  test('an unknown name is an error that says what there is, on one line', () => {
    for (const name of ['int99', '', 'toString', '__proto__', 'Q4_0']) {
      expect(() => findGrid(name)).toThrow(TersorError);
      expect(() => findGrid(name)).toThrow(/^there is no type .*choose one of f32, f16, .*codebook2/);
    }
  });
});
