import { dequantize } from '../../grid/gguf/dequantize.js';
import type { Encoded } from '../../grid/grid.js';
import { levelRecord } from '../../grid/levels.js';
import type { Arena } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { Matrix } from '../../types.js';
import { meanDiagonal } from '../cholesky.js';
import { total } from '../layer-error.js';
import type { SolverContext } from '../solver.js';
import type { DescentPlan } from './plan.js';
import { refitRows } from './refit.js';
import { storageRecord } from './storage.js';
import { createWindows } from './windows.js';

/**
 * Columns of a block: passes and windows stay within one. Part of the method, unlike the width of matrix products: a
 * larger number lowers the loss little and costs more time.
 */
const blockColumns = 256;

/** What a sweep did. */
export interface Progress {
  /** The (damped) loss before, as its blocks saw it, and by how much it fell. */
  readonly loss: number;
  readonly gain: number;
  /** How many weights moved one by one. */
  readonly moves: number;
  /** The same per row, in units of `Sweeps.unit`; valid until the next sweep. */
  readonly losses: Float64Array;
  readonly gains: Float64Array;
}

/** Noise of an annealed sweep (assembly/descent/anneal.ts). */
export interface Noise {
  /** 6 × temperature of every row, in the unit of losses; in the kernels' memory. */
  readonly temperatures: Float32Array;
  readonly annealingPasses: number;
  readonly seed: number;
}

export interface Sweeps {
  /** The layer's loss that one unit of gains and losses per row stands for. */
  readonly unit: number;
  /** Goes over all columns once. */
  sweep(noise?: Noise): Promise<Progress>;
  /** To be called when weights, codes or parameters were changed from outside: brings values up to date. */
  refresh(): Promise<void>;
}

export function prepareSweeps(
  context: SolverContext,
  arena: Arena,
  weight: Panel,
  gram: Matrix,
  encoded: Encoded,
  plan: DescentPlan,
): Sweeps {
  const { kernels, gemm } = context;
  const { rows, cols, stride } = weight;
  const { grid, codes, values, parameters } = encoded;
  if (!codes) throw new Error('coordinate descent needs a grid with codes');
  const { rule, passes, refits, trials } = plan;
  const together = Number.isFinite(grid.groupSize) ? grid.blockSize : 1;
  const blockSize = Math.ceil(Math.min(blockColumns, cols) / together) * together;
  const groupSize = Math.min(grid.groupSize, cols);
  const { hessian, unit } = wellScaled(gram);
  const damping = (plan.damping * meanDiagonal(gram)) / unit;
  const levels = levelRecord(arena, grid, parameters);
  const storage = refits > 0 ? storageRecord(arena, encoded, trials) : undefined;
  const product = arena.f32(blockSize * stride);
  const square = arena.f32(blockSize ** 2);
  const deltas = arena.f32(blockSize * stride);
  const gained = arena.f64(3 * stride);
  const groups = storage && createWindows(kernels, arena, blockSize, 'groups', groupSize);
  const windows = createWindows(
    kernels,
    arena,
    blockSize,
    plan.windows,
    Math.min(plan.windowSize, blockSize),
  );
  const room = kernels.call('descentScratch', {
    blockWidth: blockSize,
    group: Math.min(groupSize, blockSize),
    windowSize: windows.size,
  });
  const scratch = arena.scratch(Math.ceil(stride / 16) * room);
  // onnxruntime reads and writes outside the kernels' memory.
  const known = { data: new Float32Array(cols * stride), shape: [cols, stride] };
  const result = new Float32Array(Math.min(plan.blockSize, blockSize) * stride);
  const blocks = Array.from({ length: Math.ceil(cols / blockSize) }, (_, b) => {
    const from = b * blockSize;
    return { from, width: Math.min(blockSize, cols - from), at: from * stride };
  });
  const wholeRows = refits > 0 && grid.scale?.kind === 'direct' && grid.groupSize >= cols && !storage;
  const subtract = () => {
    for (const { width, at } of blocks) {
      kernels.parallel('subtractPanels', stride, {
        cols: width,
        stride,
        x: weight.data.subarray(at),
        y: values.subarray(at),
        difference: deltas,
      });
      known.data.set(deltas.subarray(0, width * stride), at);
    }
  };
  subtract();

  const sweep = async (noise?: Noise) => {
    gained.fill(0);
    if (
      wholeRows &&
      (await refitRows(context, weight, { hessian, damping }, encoded, known.data, gained)) > 0
    )
      subtract();
    for (const [block, { from, width, at }] of blocks.entries()) {
      for (let j = 0; j < width; j += plan.blockSize) {
        const count = Math.min(plan.blockSize, width - j);
        const data = hessian.subarray((from + j) * cols, (from + j + count) * cols);
        const into = result.subarray(0, count * stride);
        product.set(await gemm({ data, shape: [count, cols] }, known, { into }), j * stride);
      }
      gatherSquare(hessian, cols, from, width, damping, square);
      groups?.choose(square, width);
      windows.choose(square, width);
      const group = Math.floor(from / groupSize) * stride;
      kernels.parallel('descendBlock', stride, {
        weight: weight.data.subarray(at),
        stride,
        product,
        hessian: square,
        width,
        groupSize,
        scale: parameters.scale.subarray(group),
        offset: parameters.offset.subarray(group),
        levels,
        storage: storage?.at(from),
        greedy: rule === 'greedy',
        passes,
        refits: storage ? refits : 0,
        groupColumns: groups?.columns,
        groupFactors: groups?.factors,
        windows: windows.count(),
        windowSize: windows.size,
        windowColumns: windows.columns,
        windowFactors: windows.factors,
        damping,
        temperatures: noise?.temperatures,
        annealingPasses: noise?.annealingPasses ?? 0,
        seed: (noise?.seed ?? 0) * blocks.length + block,
        codes: codes.subarray(at),
        values: values.subarray(at),
        deltas,
        gains: gained,
        scratch,
      });
      known.data.set(deltas.subarray(0, width * stride), at);
    }
    const [gains, moved, losses] = [
      gained.subarray(0, rows),
      gained.subarray(stride, stride + rows),
      gained.subarray(2 * stride, 2 * stride + rows),
    ];
    return {
      gains,
      losses,
      loss: total(losses, rows) * unit,
      gain: total(gains, rows) * unit,
      moves: total(moved, rows),
    };
  };
  return {
    unit,
    sweep,
    async refresh() {
      await dequantize(kernels, grid, codes, parameters, weight, values);
      subtract();
    },
  };
}

/**
 * H in a unit in which squares of its products stay within the range of single precision: the mean of its diagonal
 * where that is extreme, else 1.
 */
export function wellScaled(gram: Matrix): { hessian: Float32Array; unit: number } {
  const mean = meanDiagonal(gram);
  if (mean > 1e-10 && mean < 1e10) return { hessian: gram.data, unit: 1 };
  return { hessian: gram.data.map((value) => value / mean), unit: mean };
}

/** Columns [from, from + width) of the same rows of H (cols × cols), row-major, with the damping on the diagonal. */
export function gatherSquare(
  hessian: Float32Array,
  cols: number,
  from: number,
  width: number,
  damping: number,
  square: Float32Array,
): void {
  for (let i = 0; i < width; i++) {
    const start = (from + i) * cols + from;
    square.set(hessian.subarray(start, start + width), i * width);
    square[i * (width + 1)] = (square[i * (width + 1)] ?? 0) + damping;
  }
}
