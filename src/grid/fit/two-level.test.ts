import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKernels, type Kernels } from '../../kernels/kernels.js';
import { type GgufFormat, ggufFormats } from '../gguf/gguf.js';
import { ggufGrids } from '../index.js';
import { projectTwoLevel, type TwoLevelFormat } from './two-level.js';

let kernels: Kernels;
beforeAll(async () => {
  kernels = await createKernels();
});
afterAll(() => kernels.close());

const seed = 99;
const formats = Object.values<GgufFormat>(ggufFormats).filter(
  (format): format is TwoLevelFormat => format.scale.kind === 'two-level',
);

/** One group's ideal scale and offset, and its curvature. */
interface Ideal {
  readonly s: number;
  readonly o: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

test.each(formats)('$name: projects near the best of all super-block scales', async (format) => {
  const { blockSize, groupSize, scale } = format;
  const groups = blockSize / groupSize;
  const rows = 6;
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const ideal: Ideal[][] = Array.from({ length: rows }, () =>
    Array.from({ length: groups }, () => {
      const s = scale.offset ? 0.01 + 0.02 * random() : (0.01 + 0.02 * random()) * (random() < 0.5 ? 1 : -1);
      const [a, c] = [1 + 9 * random(), 1 + random()];
      return { s, o: scale.offset ? -0.3 * random() : 0, a, b: scale.offset ? 0.8 * Math.sqrt(a * c) : 0, c };
    }),
  );
  const loss = (row: readonly Ideal[], values: readonly { s: number; o: number }[]) =>
    row.reduce((sum, { s, o, a, b, c }, g) => {
      const [ds, dOffset] = [(values[g]?.s ?? 0) - s, (values[g]?.o ?? 0) - o];
      return sum + a * ds * ds + 2 * b * ds * dOffset + c * dOffset * dOffset;
    }, 0);
  await kernels.scope(async (arena) => {
    const stride = 8;
    const plane = (of: (group: Ideal) => number) => {
      const array = arena.f32(groups * stride);
      for (const [r, row] of ideal.entries())
        for (const [g, group] of row.entries()) array[g * stride + r] = of(group);
      return array;
    };
    const parameters = ggufGrids[format.name].allocate(arena, rows, blockSize);
    const curvature = { scale: plane(({ a }) => a), mixed: plane(({ b }) => b), offset: plane(({ c }) => c) };
    const groupsIdeal = { scale: plane(({ s }) => s), offset: plane(({ o }) => o), curvature };
    await projectTwoLevel(kernels, format, groupsIdeal, { rows, stride, cols: blockSize }, parameters, 0);
    for (const [r, row] of ideal.entries()) {
      const projected = row.map((_, g) => ({
        s: parameters.scale[g * stride + r] ?? 0,
        o: parameters.offset[g * stride + r] ?? 0,
      }));
      // Dense search in the super-block scale, offsets left free, is a lower bound.
      let bound = Infinity;
      const largest = Math.max(...row.map(({ s }) => Math.abs(s)));
      for (let ratio = 0.85; ratio < 1.3; ratio += 0.0005) {
        for (const unit of [(largest / scale.scaleMax) * ratio, (-largest / scale.scaleMax) * ratio]) {
          const values = row.map(({ s, o, b, c }) => {
            const code = Math.min(scale.scaleMax, Math.max(scale.scaleMin, Math.round(s / unit)));
            const change = unit * code - s;
            return { s: unit * code, o: o - (b / c) * change };
          });
          bound = Math.min(bound, loss(row, values));
        }
      }
      // What rounding every offset to the nearest multiple costs by itself.
      const unit = scale.offset ? 0.3 / scale.offset.max : 0;
      const offsets = row.reduce((sum, { c }) => sum + (c * unit ** 2) / 12, 0);
      expect(loss(row, projected), `row ${r}, seed ${seed}`).toBeLessThan(1.5 * bound + 3 * offsets);
    }
  });
});
