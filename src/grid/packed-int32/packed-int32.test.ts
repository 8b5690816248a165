import { describe, expect, test } from 'vitest';
import { gemm, kernels, randomLayer } from '../../../test/fixtures/solver-context.js';
import { normals } from '../../../test/reference/random.js';
import { fromPanel, toPanel } from '../../kernels/panel.js';
import { findSolver } from '../../solver/index.js';
import { layerError } from '../../solver/layer-error.js';
import type { Matrix } from '../../types.js';
import { findCompressedTensorsGrid } from './compressed-tensors.js';
import { findGptqGrid } from './gptq.js';
import type { WordGrid } from './layout.js';
import { partsOf } from './packed-int32.js';

const sharings = ['-g32', '-g64', '-g128', '-channel'];
const names = (bits: readonly number[]) =>
  bits.flatMap((b) => sharings.flatMap((sharing) => [`int${b}${sharing}`, `int${b}${sharing}-asym`]));
const seed = 5;

const gptq = (name: string) => required(findGptqGrid(name));
const compressed = (name: string) => required(findCompressedTensorsGrid(name));
function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('no such grid');
  return value;
}

/** Solves, packs and unpacks; all copied out of the kernels' memory. */
function solve(grid: WordGrid, weight: Matrix, gram?: Matrix, solver = 'rtn', options = {}) {
  return kernels.scope(async (arena) => {
    const panel = await toPanel(kernels, arena, weight);
    const moments = gram && { gram, tokens: 1 };
    const { encoded } = await findSolver(solver).solve(
      { kernels, arena, gemm },
      panel,
      moments,
      grid,
      options,
    );
    const bytes = await grid.pack(kernels, encoded);
    const again = await grid.unpack(kernels, arena, bytes, weight.rows, weight.cols);
    const out = async (data: Float32Array) => (await fromPanel(kernels, { ...panel, data })).data.slice();
    const relativeError = await layerError({ kernels, arena, gemm }, gram, panel, encoded.values);
    return { bytes, relativeError, values: await out(encoded.values), unpacked: await out(again.values) };
  });
}

/** A part of a packed weight as numbers. */
function part(grid: WordGrid, bytes: Uint8Array, { rows, cols }: Matrix, suffix: string) {
  let at = 0;
  for (const each of partsOf(grid, rows, cols)) {
    const own = new DataView(bytes.buffer, bytes.byteOffset + at, each.bytes);
    at += each.bytes;
    if (each.suffix !== suffix) continue;
    const size = { I32: 4, I64: 8, F16: 2, BF16: 2, F32: 4 }[each.dtype];
    return Array.from({ length: each.bytes / size }, (_, i) => {
      if (each.dtype === 'I32') return own.getUint32(4 * i, true);
      if (each.dtype === 'I64') return Number(own.getBigInt64(8 * i, true));
      return half(own.getUint16(2 * i, true));
    });
  }
  throw new Error(`no part ${suffix}`);
}

function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Bits [from, from + count) of the word stream that starts at `first`, words `step` apart. */
function bitsAt(words: readonly number[], first: number, step: number, from: number, count: number): number {
  let value = 0;
  for (let i = 0; i < count; i++) {
    const word = words[first + step * Math.floor((from + i) / 32)] ?? 0;
    value += ((word >>> ((from + i) % 32)) & 1) * 2 ** i;
  }
  return value;
}

/** GPTQ's layout after AutoGPTQ's description of it. */
function decodeGptq(grid: WordGrid, bytes: Uint8Array, weight: Matrix): number[] {
  const { rows, cols } = weight;
  const { bits } = grid.words;
  const [qweight, qzeros] = [part(grid, bytes, weight, '.qweight'), part(grid, bytes, weight, '.qzeros')];
  const [scales, index] = [part(grid, bytes, weight, '.scales'), part(grid, bytes, weight, '.g_idx')];
  return Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const group = index[col] ?? 0;
    const code = bitsAt(qweight, row, rows, col * bits, bits);
    const zero = bitsAt(qzeros, group * ((rows * bits) / 32), 1, row * bits, bits) + 1;
    return (scales[group * rows + row] ?? 0) * (code - zero);
  });
}

/** compressed-tensors' layout after its unpack_from_int32. */
function decodeCompressed(grid: WordGrid, bytes: Uint8Array, weight: Matrix): number[] {
  const { bits, affine } = grid.words;
  const [rows = 0, cols = 0] = part(grid, bytes, weight, '.weight_shape');
  const perWord = Math.floor(32 / bits);
  const packed = part(grid, bytes, weight, '.weight_packed');
  const scales = part(grid, bytes, weight, '.weight_scale');
  const zeros = affine ? part(grid, bytes, weight, '.weight_zero_point') : [];
  const groups = scales.length / rows;
  const field = (word: number, place: number) =>
    ((word >>> (place * bits)) & (2 ** bits - 1)) - 2 ** (bits - 1);
  return Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const group = Math.floor(col / (cols / groups));
    const level = field(
      packed[row * Math.ceil(cols / perWord) + Math.floor(col / perWord)] ?? 0,
      col % perWord,
    );
    const zero = affine ? field(zeros[Math.floor(row / perWord) * groups + group] ?? 0, row % perWord) : 0;
    return (scales[row * groups + group] ?? 0) * (level - zero);
  });
}

const same = (a: Float32Array, b: ArrayLike<number>) =>
  a.length === b.length && a.every((value, i) => value === b[i]);

describe.each([
  ['GPTQ', gptq, decodeGptq, [2, 3, 4, 8]],
  ['compressed-tensors', compressed, decodeCompressed, [2, 4, 8]],
] as const)('%s', (_format, find, decode, bits) => {
  test.each(names(bits))('%s is decoded to what was predicted', async (name) => {
    const weight = {
      rows: 64,
      cols: 128,
      data: normals(64 * 128, seed).map((x, i) => x + (i % 3 ? 0 : 0.4)),
    };
    const grid = find(name);
    const { bytes, values, unpacked } = await solve(grid, weight);
    expect(bytes.length).toBe(grid.bytes(64, 128));
    expect(same(values, unpacked), 'unpack').toBe(true);
    expect(same(values, decode(grid, bytes, weight)), 'independent decoder').toBe(true);
  });

  test.each(['int4-g32-asym', 'int2-channel-asym', 'int4-g64', 'int8-channel'])(
    'solvers leave parameters of %s that it can store',
    async (name) => {
      const { weight, gram } = await randomLayer(64, 128, seed);
      const grid = find(name);
      const errors: number[] = [];
      for (const [solver, options] of [
        ['rtn', {}],
        ['rtn', { scales: 'range' }],
        ['gptq', {}],
        ['decoupleq', { temperature: 0.5 }],
      ] as const) {
        const { bytes, values, relativeError } = await solve(grid, weight, gram, solver, options);
        expect(same(values, decode(grid, bytes, weight)), solver).toBe(true);
        errors.push(relativeError);
      }
      const [rtn = 0, range = 0, feedback = 0, descent = 0] = errors;
      expect(descent).toBeLessThan(feedback);
      expect(feedback).toBeLessThan(rtn);
      expect(rtn).toBeLessThan(range * 1.01);
    },
  );

  test('scales and zero points are as good as the best of a dense search', async () => {
    const data = normals(8 * 64, seed).map((x, i) => x + 0.7 * Math.sin(Math.floor(i / 32)));
    const weight = { rows: 8, cols: 64, data };
    const { values } = await solve(find('int4-g32-asym'), weight);
    const squares = (errors: Float32Array) => errors.reduce((sum, x) => sum + x * x, 0);
    let best = 0;
    for (let from = 0; from < data.length; from += 32) {
      const group = data.subarray(from, from + 32);
      let least = Infinity;
      for (let s = 0.05; s < 0.6; s *= 1.002) {
        for (let zero = 1; zero < 16; zero++) {
          const nearest = (w: number) => s * (Math.min(15, Math.max(0, Math.round(w / s + zero))) - zero);
          least = Math.min(least, squares(group.map((w) => w - nearest(w))));
        }
      }
      best += least;
    }
    expect(squares(data.map((w, i) => w - (values[i] ?? Number.NaN)))).toBeLessThan(1.02 * best);
    const { relativeError } = await solve(find('int4-g32-asym'), weight);
    expect(relativeError).toBeLessThan(0.9 * (await solve(find('int4-g32'), weight)).relativeError);
  });

  test.each([0.5, -3, 0])('groups that are %d throughout keep it', async (value) => {
    const weight = { rows: 32, cols: 32, data: new Float32Array(32 * 32).fill(value) };
    const { values } = await solve(find('int4-g32-asym'), weight);
    for (const each of values) expect(Math.abs(each - value)).toBeLessThanOrEqual(2e-3 * Math.abs(value));
  });
});

test('other names are none of theirs', () => {
  for (const name of ['int5', 'int4-g16', 'int4-tensor', 'q4_0', 'int1'])
    expect(findGptqGrid(name)).toBeUndefined();
  for (const name of ['int1', 'int3', 'int9', 'int4-tensor', 'q4_0'])
    expect(findCompressedTensorsGrid(name)).toBeUndefined();
});
