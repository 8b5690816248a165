import { describe, expect, test } from 'vitest';
import { needs } from '../../../test/fixtures/needs.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { ggmlDequantize, ggmlMissing, ggmlQuantize } from '../../../test/oracle/ggml.js';
import { createKernels } from '../../kernels/kernels.js';
import { toPanel } from '../../kernels/panel.js';
import { type GgufFormat, type GgufName, ggufFormats } from '../gguf/gguf.js';
import type { Parameters } from '../grid.js';
import { ggufGrids } from '../index.js';
import { roundPanel } from '../round.js';

const seed = 4711;
const formats = Object.values<GgufFormat>(ggufFormats).filter(({ scale }) => scale.kind !== 'none');

/** Uniform numbers in [0, 1), the same in every run. */
function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}

type Random = () => number;
const normal = (random: Random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** One row each. */
const distributions: Readonly<Record<string, (random: Random, cols: number) => number[]>> = {
  gaussian: (random, cols) => repeat(cols, () => 0.02 * normal(random)),
  heavy: (random, cols) =>
    repeat(
      cols,
      () => (0.02 * normal(random)) / Math.hypot(normal(random), normal(random), normal(random), 0.05),
    ),
  sparse: (random, cols) => repeat(cols, () => (random() < 0.1 ? normal(random) : 0)),
  uniform: (random, cols) => repeat(cols, () => random() - 0.5),
  positive: (random, cols) => repeat(cols, () => 0.5 + Math.abs(normal(random))),
  constant: (random, cols) => repeat(cols, constantly(normal(random))),
  zero: (_, cols) => repeat(cols, () => 0),
  // Scales are subnormal halves here.
  tiny: (random, cols) => repeat(cols, () => 3e-6 * normal(random)),
  vanishing: (random, cols) => repeat(cols, () => 1e-8 * normal(random)),
  outlier: (random, cols) => repeat(cols, () => 0.02 * normal(random)).with(Math.floor(random() * cols), 5),
};

const repeat = (count: number, value: () => number) => Array.from({ length: count }, value);
const constantly = (value: number) => () => value;

const importances: Readonly<Record<string, (random: Random) => number>> = {
  equal: () => 1,
  squares: (random) => normal(random) ** 2,
  'three decades': (random) => 1000 ** random(),
  'some zero': (random) => (random() < 0.3 ? 0 : normal(random) ** 2),
};

interface Case {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array;
  readonly importance: Float32Array;
}

function makeCase(distribution: string, kind: string, rows: number, cols: number): Case {
  const random = generator(seed + cols);
  const row = distributions[distribution] ?? (() => []);
  return {
    rows,
    cols,
    data: Float32Array.from(Array.from({ length: rows }, () => row(random, cols)).flat()),
    importance: Float32Array.from(repeat(cols, () => importances[kind]?.(random) ?? 1)),
  };
}

/** Fits and rounds: decoded values row after row, and a copy of the parameters. */
async function quantize(name: GgufName, { rows, cols, data, importance }: Case, using = kernels) {
  const grid = ggufGrids[name];
  return await using.scope(async (arena) => {
    const weight = await toPanel(using, arena, { rows, cols, data });
    const shared = arena.f32(cols);
    shared.set(importance);
    const parameters = grid.allocate(arena, rows, cols);
    await grid.fit(using, weight, shared, parameters, 0);
    const [codes, values] = [arena.u8(cols * weight.stride), arena.f32(cols * weight.stride)];
    await roundPanel(using, weight, grid, parameters, { codes, values });
    const decoded = Float32Array.from(
      { length: rows * cols },
      (_, i) => values[(i % cols) * weight.stride + Math.floor(i / cols)] ?? 0,
    );
    return { decoded, parameters: copy(parameters) };
  });
}

const copy = ({ scale, offset, stored }: Parameters) => ({
  scale: scale.slice(),
  offset: offset.slice(),
  stored: Object.fromEntries(Object.entries(stored).map(([name, array]) => [name, array.slice()])),
});

/** Σ importance · (w − ŵ)² of a row. */
function rowError({ cols, data, importance }: Case, values: Float32Array, row: number): number {
  return importance.reduce((sum, weight, col) => {
    const at = row * cols + col;
    return sum + weight * ((data[at] ?? 0) - (values[at] ?? 0)) ** 2;
  }, 0);
}

describe("fit against ggml's quantize functions", needs(ggmlMissing), () => {
  // 10 distributions × 4 importances × 3 widths × 9 rows = 1080 rows of every format.
  const rows = 9;
  // What half and single precision leave of weights that are all but exactly representable, relative to them.
  const precision = 1e-7;
  // Searching is a matter of luck where single groups have few good scales.
  const leastBetter = 0.98;

  test.each(formats)('$name loses no more', async ({ name, blockSize }) => {
    let [count, better, betterPlain] = [0, 0, 0];
    for (const distribution of Object.keys(distributions)) {
      let [ours, theirs, plain, energy] = [0, 0, 0, 0];
      for (const kind of Object.keys(importances)) {
        for (const blocks of [1, 2, 4]) {
          const one = makeCase(distribution, kind, rows, blocks * blockSize);
          const { cols, data, importance } = one;
          const { decoded } = await quantize(name, one);
          expect(decoded.every(Number.isFinite)).toBe(true);
          const weighted = ggmlDequantize(
            name,
            ggmlQuantize(name, rows, cols, data, importance),
            rows * cols,
          );
          const unweighted = ggmlDequantize(name, ggmlQuantize(name, rows, cols, data), rows * cols);
          for (let row = 0; row < rows; row++) {
            const errors = [decoded, weighted, unweighted].map((values) => rowError(one, values, row));
            const [own = 0, their = 0, without = 0] = errors;
            const slack = precision * rowError(one, new Float32Array(data.length), row);
            count++;
            if (own <= their + slack) better++;
            if (own <= without + slack) betterPlain++;
            ours += own;
            theirs += their;
            plain += without;
            energy += slack;
          }
        }
      }
      const where = `${distribution}, seed ${seed}`;
      expect(ours, `${where}, with importances`).toBeLessThanOrEqual(theirs + energy);
      expect(ours, `${where}, without`).toBeLessThanOrEqual(plain + energy);
    }
    expect(count).toBeGreaterThanOrEqual(1000);
    expect(better / count, `seed ${seed}`).toBeGreaterThanOrEqual(leastBetter);
    expect(betterPlain / count, `seed ${seed}`).toBeGreaterThanOrEqual(leastBetter);
  });
});

describe('fit', () => {
  test('finds the best half scale of all', async () => {
    const one = makeCase('gaussian', 'equal', 200, 32);
    const { decoded } = await quantize('q4_0', one);
    let exact = 0;
    for (let row = 0; row < one.rows; row++) {
      const best = exhaustive(one.data.subarray(row * 32, row * 32 + 32), -8, 7);
      const error = rowError(one, decoded, row);
      expect(error / best, `row ${row}, seed ${seed}`).toBeGreaterThan(0.9999);
      if (error <= best * 1.001) exact++;
    }
    expect(exact / one.rows, `seed ${seed}`).toBeGreaterThan(0.95);
  });

  test.each(formats)('$name: threads change nothing', async ({ name, blockSize }) => {
    const one = makeCase('gaussian', 'squares', 37, 2 * blockSize);
    const single = await createKernels();
    expect(await quantize(name, one)).toEqual(await quantize(name, one, single));
    single.close();
  });

  test.each(formats)('$name: columns fitted in pieces', async ({ name, blockSize }) => {
    const { rows, cols, data, importance } = makeCase('heavy', 'three decades', 7, 3 * blockSize);
    const whole = await quantize(name, { rows, cols, data, importance });
    const grid = ggufGrids[name];
    const pieces = await kernels.scope(async (arena) => {
      const weight = await toPanel(kernels, arena, { rows, cols, data });
      const shared = arena.f32(cols);
      shared.set(importance);
      const parameters = grid.allocate(arena, rows, cols);
      for (const [from, to] of [
        [blockSize, 3 * blockSize],
        [0, blockSize],
      ] as const) {
        const columns = weight.data.subarray(from * weight.stride, to * weight.stride);
        const piece = { ...weight, cols: to - from, data: columns };
        await grid.fit(kernels, piece, shared.subarray(from, to), parameters, from);
      }
      return copy(parameters);
    });
    expect(pieces).toEqual(whole.parameters);
  });

  test.each(formats)('$name: no importance at all counts as equal', async ({ name, blockSize }) => {
    const one = makeCase('gaussian', 'equal', 5, blockSize);
    const none = { ...one, importance: new Float32Array(one.cols) };
    expect(await quantize(name, none)).toEqual(await quantize(name, one));
  });

  test.each(formats)('$name: weights beyond what it can store stay finite', async ({ name, blockSize }) => {
    for (const size of [1e5, 1e12, 1e25, 3e38]) {
      const one = makeCase('gaussian', 'squares', 4, blockSize);
      const huge = { ...one, data: one.data.map((x) => Math.max(-1, Math.min(1, 20 * x)) * size) };
      const { decoded, parameters } = await quantize(name, huge);
      expect(decoded.every(Number.isFinite), `${size}`).toBe(true);
      expect([...parameters.scale, ...parameters.offset].every(Number.isFinite), `${size}`).toBe(true);
    }
  });
});

/** The least error of one group over all half scales of both signs. */
function exhaustive(weights: Float32Array, min: number, max: number): number {
  const largest = weights.reduce((most, w) => Math.max(most, Math.abs(w)), 0);
  let best = Infinity;
  for (let bits = 1; bits < 0x7c00; bits++) {
    const exponent = bits >> 10;
    const size = exponent ? (1 + (bits & 1023) / 1024) * 2 ** (exponent - 15) : bits * 2 ** -24;
    if (size < largest / max / 4 || size > (largest / max) * 1.5) continue;
    for (const s of [size, -size]) {
      const error = weights.reduce((sum, w) => {
        const level = Math.min(max, Math.max(min, Math.round(w / s)));
        return sum + (w - Math.fround(s * level)) ** 2;
      }, 0);
      best = Math.min(best, error);
    }
  }
  return best;
}
