import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { createMoments, momentRoom } from './moments.js';

/** Tokens of two batches; some of the second are left out. */
const lengths = [9, 7];
const without = [[], [{ from: 2, count: 3 }]];
const counts = (batch: number, row: number) =>
  !without[batch]?.some(({ from, count }) => row >= from && row < from + count);

for (const [width, tokens] of [
  [40, 16],
  // Of several blocks of columns, the last of them smaller; collected in parts.
  [2600, 5],
] as const)
  test(`moments of ${width} inputs are those of a plain sum`, async () => {
    const batches = lengths.map((rows, seed) => ({
      own: normals(rows * width, seed + 1),
      original: normals(rows * width, seed + 11),
      rows,
    }));
    const moments = createMoments();
    const sums = moments.sums(width, { cross: true, tokens });
    for (const [at, { own, original }] of batches.entries()) await sums.add(own, original, without[at]);
    const { gram, crossMoments, means, tokens: counted } = await sums.mean();
    expect(counted).toBe(13);

    const mean = (of: (own: (i: number) => number, original: (i: number) => number) => number) => {
      let total = 0;
      for (const [at, { own, original, rows }] of batches.entries())
        for (let row = 0; row < rows; row++)
          if (counts(at, row))
            total += of(
              (i) => own[row * width + i] ?? 0,
              (i) => original[row * width + i] ?? 0,
            );
      return total / counted;
    };
    const places = [0, 1, width - 1, ...(width > 1000 ? [863, 864, 865, 1727, 1728, 2000] : [17, 20])];
    for (const i of places) {
      expect(means.own[i]).toBeCloseTo(
        mean((own) => own(i)),
        5,
      );
      expect(means.original[i]).toBeCloseTo(
        mean((_, original) => original(i)),
        5,
      );
      for (const j of places) {
        expect(gram.data[i * width + j]).toBeCloseTo(
          mean((own) => own(i) * own(j)),
          5,
        );
        expect(crossMoments?.data[i * width + j]).toBeCloseTo(
          mean((own, original) => (original(i) - own(i)) * own(j)),
          5,
        );
      }
    }
    await moments.release();
  });

test('without inputs of the original there are no cross moments, and both means are one', async () => {
  const moments = createMoments();
  const sums = moments.sums(3);
  await sums.add(Float32Array.of(1, 2, 3, 3, 2, 1));
  const { crossMoments, means, gram } = await sums.mean();
  expect(crossMoments).toBeUndefined();
  expect(means.original).toBe(means.own);
  expect([...means.own]).toEqual([2, 2, 2]);
  expect([...gram.data]).toEqual([5, 4, 3, 4, 4, 4, 3, 4, 5]);
  await moments.release();
});

test('the room beside sums does not grow with the text', () => {
  expect(momentRoom(14336, 2, 1e6)).toBe(momentRoom(14336, 2, 1e5));
  expect(4 * momentRoom(14336, 2, 1e6)).toBeLessThan(300e6);
});
