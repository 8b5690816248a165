import { describe, expect, test } from 'vitest';
import { quantize, total } from '../../../test/fixtures/grids.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { talesLayers } from '../../../test/fixtures/tales.js';
import { syntheticGram } from '../../../test/reference/gram.js';
import { normals } from '../../../test/reference/random.js';
import { createKernels } from '../../kernels/kernels.js';
import { toPanel } from '../../kernels/panel.js';
import { createGemm } from '../../runtime/gemm.js';
import { findSolver } from '../../solver/index.js';
import { layerError } from '../../solver/layer-error.js';
import type { Matrix } from '../../types.js';
import { findGrid } from '../index.js';
import { findAdaDimGrid } from './adadim.js';

const seed = 53;
const matrix = (rows: number, cols: number, data = normals(rows * cols, seed)): Matrix => ({
  rows,
  cols,
  data,
});
/** Rows or columns of very different sizes. */
const scaled = (rows: number, cols: number, size: (row: number, col: number) => number) =>
  matrix(
    rows,
    cols,
    normals(rows * cols, seed).map((x, i) => x * size(Math.floor(i / cols), i % cols)),
  );
const transposed = ({ rows, cols, data }: Matrix): Matrix =>
  matrix(
    cols,
    rows,
    Float32Array.from(data, (_, i) => data[(i % rows) * cols + Math.floor(i / rows)] ?? 0),
  );

describe('groups along outputs', () => {
  test.each(['int1', 'int3-g16', 'int4', 'int4-g64-asym', 'int8-g16-asym'])(
    '%s are groups along inputs of the transposed weights',
    async (type) => {
      const weight = matrix(64, 128);
      const turned = await quantize(kernels, type, transposed(weight));
      const own = await quantize(kernels, `${type}-out`, weight);
      expect(own.values).toEqual(transposed({ ...transposed(weight), data: turned.values }).data);
    },
  );

  test('may be shorter at the end, and take as many bytes as along inputs but for one a block', async () => {
    const { values } = await quantize(kernels, 'int4-out', matrix(37, 64));
    expect(values.every(Number.isFinite)).toBe(true);
    expect(findGrid('int4-out').bytes(64, 64)).toBe(findGrid('int4').bytes(64, 64) + 2);
  });
});

describe('AdaDim', () => {
  test('takes the dimension along which the weights are alike', async () => {
    const byRow = scaled(64, 64, (row) => 4 ** (row % 5));
    const byColumn = scaled(64, 64, (_, col) => 4 ** (col % 5));
    for (const [weight, better] of [
      [byRow, 'int4'],
      [byColumn, 'int4-out'],
    ] as const)
      expect((await quantize(kernels, 'int4-ada', weight)).values).toEqual(
        (await quantize(kernels, better, weight)).values,
      );
  });

  test('is at least as good as the better dimension on layers of a language model', async () => {
    for (const { name, ...layer } of await talesLayers()) {
      const importance = normals(layer.cols, seed).map((x) => x * x);
      for (const type of ['int3', 'int4-g64-asym']) {
        const error = async (suffix: string) =>
          total((await quantize(kernels, type + suffix, layer, importance)).errors);
        const [inputs, outputs, own] = [await error(''), await error('-out'), await error('-ada')];
        expect(own, `${name} ${type}, seed ${seed}`).toBeLessThanOrEqual(
          Math.min(inputs, outputs) * (1 + 1e-9),
        );
      }
    }
  });

  test('is rounded to by error feedback, with a better result than rounding to nearest', async () => {
    const gemm = createGemm();
    const gram = await syntheticGram(gemm, 128, seed);
    const solve = (solver: string) =>
      kernels.scope(async (arena) => {
        const panel = await toPanel(kernels, arena, matrix(64, 128));
        const context = { kernels, arena, gemm };
        const grid = findGrid('int3-ada');
        const { encoded } = await findSolver(solver).solve(context, panel, { gram, tokens: 1 }, grid);
        const decoded = await grid.unpack(kernels, arena, await grid.pack(kernels, encoded), 64, 128);
        expect(decoded.values, solver).toEqual(encoded.values);
        return layerError(context, gram, panel, encoded.values);
      });
    expect((await solve('gptq')) / (await solve('rtn')), `seed ${seed}`).toBeLessThan(0.7);
    await gemm.release();
  });

  test('is the same with any number of threads', async () => {
    const alone = await createKernels();
    const weight = matrix(70, 128);
    expect(await quantize(alone, 'int3-ada', weight)).toEqual(await quantize(kernels, 'int3-ada', weight));
    alone.close();
  });

  test('has names, and nothing else does', () => {
    for (const name of ['int4-ada', 'int4-g16-out', 'int2-g256-asym-ada'])
      expect(findAdaDimGrid(name)?.name).toBe(name);
    for (const name of ['int4-channel-ada', 'int4-ada-asym', 'q4_0-ada', 'int4-g24-out', 'int4'])
      expect(findAdaDimGrid(name), name).toBeUndefined();
  });

  test('refuses files that name no dimension', async () => {
    const { bytes } = await quantize(kernels, 'int4-ada', matrix(32, 32));
    bytes[bytes.length - 65] = 2;
    await kernels.scope(async (arena) => {
      await expect(findGrid('int4-ada').unpack(kernels, arena, bytes, 32, 32)).rejects.toThrow('dimension 2');
    });
  });
});
