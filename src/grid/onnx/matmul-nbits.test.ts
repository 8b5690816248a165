import { describe, expect, test } from 'vitest';
import { quantize, total } from '../../../test/fixtures/grids.js';
import { gemm, kernels, randomLayer } from '../../../test/fixtures/solver-context.js';
import { normals } from '../../../test/reference/random.js';
import { toPanel } from '../../kernels/panel.js';
import { createSession } from '../../runtime/session.js';
import { findSolver } from '../../solver/index.js';
import { layerError } from '../../solver/layer-error.js';
import { findMatMulNBitsGrid, type MatMulNBitsGrid, rowParts } from './matmul-nbits.js';

const names = ['int2', 'int4-g16', 'int8-g64', 'int2-asym', 'int4-g96-asym', 'int4-asym', 'int8-g16-asym'];

function grid(name: string): MatMulNBitsGrid {
  const found = findMatMulNBitsGrid(name);
  if (!found) throw new Error(`no grid ${name}`);
  return found;
}

/** Rows of onnxruntime's product with the identity: what it takes the packed bytes for. */
async function inOnnxruntime(
  { nbits, ...rest }: MatMulNBitsGrid,
  bytes: Uint8Array,
  rows: number,
  cols: number,
) {
  const parts = rowParts({ ...rest, nbits }, cols);
  const length = bytes.length / rows;
  const groups = cols / nbits.groupSize;
  const column = (start: number, width: number) => {
    const result = new Uint8Array(rows * width);
    for (let row = 0; row < rows; row++)
      result.set(bytes.subarray(row * length + start, row * length + start + width), row * width);
    return result;
  };
  const constants = [
    { name: 'codes', type: 'u8', shape: [rows, groups, parts.codes / groups], data: column(0, parts.codes) },
    { name: 'halves', type: 'f16', shape: [rows, groups], data: column(parts.codes, parts.scales) },
    {
      name: 'zeros',
      type: 'u8',
      shape: [rows, parts.zeroPoints],
      data: column(parts.codes + parts.scales, parts.zeroPoints),
    },
  ] as const;
  const session = await createSession({
    constants: constants.filter(({ data }) => data.length > 0),
    inputs: [{ name: 'x', type: 'f32', shape: [cols, cols] }],
    outputs: [{ name: 'y', type: 'f32', shape: [cols, rows] }],
    nodes: [
      { op: 'Cast', inputs: ['halves'], outputs: ['scales'], attributes: { to: 1 } },
      {
        op: 'MatMulNBits',
        domain: 'com.microsoft',
        inputs: ['x', 'codes', 'scales', ...(parts.zeroPoints > 0 ? ['zeros'] : [])],
        outputs: ['y'],
        attributes: { K: cols, N: rows, bits: nbits.bits, block_size: nbits.groupSize },
      },
    ],
  });
  const identity = Float32Array.from({ length: cols * cols }, (_, i) => (i % (cols + 1) === 0 ? 1 : 0));
  const { y } = await session.run({ x: { data: identity, shape: [cols, cols] } });
  await session.release();
  return Float32Array.from({ length: rows * cols }, (_, i) =>
    Number(y?.data[(i % cols) * rows + Math.floor(i / cols)]),
  );
}

describe('integers for MatMulNBits', () => {
  test.each(names.filter((name) => findMatMulNBitsGrid(name)))(
    '%s: onnxruntime reads what was packed',
    async (name) => {
      const [rows, cols] = [7, 9 * grid(name).nbits.groupSize];
      const data = normals(rows * cols, 3);
      data.fill(0, 0, 64); // groups that are all zero, or all the same
      data.fill(-0.25, cols, cols + 64);
      const { values, bytes } = await quantize(kernels, grid(name), { rows, cols, data });
      expect(await inOnnxruntime(grid(name), bytes, rows, cols)).toEqual(values.map((value) => value + 0));
      expect(values.subarray(0, 16).every((value) => value === 0)).toBe(true);
      expect(values.subarray(cols, cols + 16).every((value) => Math.abs(value + 0.25) < 1e-3)).toBe(true);
    },
  );

  test('3 bits, channels and odd groups are no such grids', () => {
    for (const name of ['int3', 'int4-channel', 'int4-g96', 'int4-tensor', 'q4_0'])
      expect(findMatMulNBitsGrid(name), name).toBeUndefined();
  });

  /** The least error of one group over all zero points and closely spaced scales. */
  function leastError(group: Float32Array, most: number): number {
    const extreme = group.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    let least = Number.POSITIVE_INFINITY;
    for (let zero = 0; zero <= most; zero++) {
      const reach = (2 * extreme) / Math.max(1, Math.max(zero, most - zero));
      for (let step = 1; step <= 300; step++) {
        const scale = (reach * step) / 300;
        const error = group.reduce((sum, w) => {
          const level = Math.min(most, Math.max(0, Math.round(w / scale + zero))) - zero;
          return sum + (w - scale * level) ** 2;
        }, 0);
        least = Math.min(least, error);
      }
    }
    return least;
  }

  test.each([
    ['int2-asym', 3, 1.01],
    ['int4-asym', 15, 1.01],
  ])('%s: zero points and scales are nearly the best there are', async (name, most, factor) => {
    const [rows, cols] = [24, 96];
    // Groups around zero, beside it, and to one side of it.
    const data = normals(rows * cols, 5).map((value, index) => value + 1.5 * ((index >> 5) % 3));
    const own = total((await quantize(kernels, grid(name), { rows, cols, data })).errors);
    let least = 0;
    for (let at = 0; at < data.length; at += 32) least += leastError(data.subarray(at, at + 32), most);
    expect(own).toBeLessThan(factor * least);
    const without = grid(name.replace('-asym', ''));
    expect(own).toBeLessThan(0.7 * total((await quantize(kernels, without, { rows, cols, data })).errors));
  });

  test('int8-asym: weights to one side of zero are reached', async () => {
    const data = normals(32 * 32, 9).map((value) => 5 + value);
    const { errors } = await quantize(kernels, grid('int8-asym'), { rows: 32, cols: 32, data });
    const steps = Array.from(
      { length: 32 },
      (_, row) => Math.max(...data.subarray(32 * row, 32 * row + 32)) / 255,
    );
    // A rounding error is evenly spread over a step: its square is a twelfth.
    expect(total(errors)).toBeLessThan(1.2 * steps.reduce((sum, step) => sum + (32 * step ** 2) / 12, 0));
  });

  test.each(['gptq', 'decoupleq'])('%s leaves zero points whole', async (solver) => {
    const { weight: balanced, gram } = await randomLayer(12, 128, 7);
    const weight = { ...balanced, data: balanced.data.map((value) => value + 1) };
    const context = { kernels, gemm };
    const errors: number[] = [];
    for (const name of ['int2-asym', 'int2']) {
      await kernels.scope(async (arena) => {
        const panel = await toPanel(kernels, arena, weight);
        const moments = { gram, tokens: 1000 };
        const { encoded } = await findSolver(solver).solve(
          { ...context, arena, threads: 2 } as never,
          panel,
          moments,
          grid(name),
        );
        const bytes = await grid(name).pack(kernels, encoded);
        const again = await grid(name).unpack(kernels, arena, bytes, weight.rows, weight.cols);
        expect(again.values.slice()).toEqual(encoded.values.slice());
        errors.push(await layerError({ ...context, arena }, gram, panel, encoded.values));
      });
    }
    const [withZeros = 1, without = 0] = errors;
    expect(withZeros).toBeLessThan(without);
  });
});
