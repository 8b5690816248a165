import { expect, test } from 'vitest';
import { modelTable } from '../../test/reference/allocations.js';
import { uniform } from '../../test/reference/random.js';
import { allocateFamilies, countFamilies } from './families.js';
import { type Choice, type Level, smallest, total } from './table.js';

/** Integer and float formats of equal sizes; some tensors do better with one, some with the other. */
function mixedTable(tensors: number, seed: number): Choice[] {
  const random = uniform(seed + 1000);
  return modelTable(tensors, seed).map(({ name, levels }) => {
    const factor = 0.5 + random();
    const floats = levels
      .filter(({ type }) => type !== 'Q2')
      .map((level) => ({ ...level, type: `E${level.type.slice(1)}`, loss: level.loss * factor }));
    return { name, levels: [...levels, ...floats] };
  });
}

const familyOf = ({ type }: Level) => (type.startsWith('E') ? 'float' : 'integer');

test('together is never worse than the better family alone, and mostly better', () => {
  let better = 0;
  for (let seed = 0; seed < 100; seed++) {
    const choices = mixedTable(1 + (seed % 12), seed);
    const budget = Math.floor(smallest(choices).bytes * (1 + 2 * uniform(seed)()));
    const { alone, together } = allocateFamilies(choices, budget, familyOf);
    for (const [family, allocation] of Object.entries(alone)) {
      if (!allocation) continue;
      expect(allocation.bytes).toBeLessThanOrEqual(budget);
      expect(allocation).toEqual(total(choices, allocation.levels));
      expect(countFamilies(choices, allocation, familyOf)).toEqual({ [family]: choices.length });
      expect(together.loss).toBeLessThanOrEqual(allocation.loss * (1 + 1e-12));
    }
    expect(alone.integer).toBeDefined();
    const best = Math.min(alone.integer?.loss ?? Infinity, alone.float?.loss ?? Infinity);
    if (together.loss < 0.999 * best) better++;
  }
  expect(better).toBeGreaterThan(60);
});

test('a family that cannot meet the budget is left out; a fixed tensor belongs to every family', () => {
  const choices = mixedTable(4, 2);
  const fixed = { name: 'norm', levels: [{ type: 'F32', bytes: 100, loss: 0 }] };
  const least = smallest(choices).bytes + 100;
  const { alone } = allocateFamilies([...choices, fixed], least, familyOf);
  expect(alone.float).toBeUndefined();
  expect(alone.integer?.levels.at(-1)).toBe(0);
  expect(() => allocateFamilies([...choices, fixed], least - 1, familyOf)).toThrow('cannot be met');
});
