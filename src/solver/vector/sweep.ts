import type { Arena } from '../../kernels/kernels.js';
import type { Metric, PlacedCell, VectorLayer } from './layer.js';

// One step of error feedback or coordinate descent: the kernel sweepVector of assembly/vector/sweep.ts.

/** Where the work on one block of positions happens, in the kernels' memory. */
export interface SweepSpace {
  readonly sums: Float32Array;
  readonly deltas: Float32Array;
  /** blockSize × blockSize, of which a block of `width` uses rows of `width`. */
  readonly coupling: Float32Array;
  readonly factor: Float32Array;
  readonly shift: Float32Array;
  readonly tiles: Float32Array;
  readonly scratch: Float32Array;
}

export function sweepSpace(
  arena: Arena,
  { weight: { stride }, cells }: Pick<VectorLayer, 'weight' | 'cells'>,
  width: number,
): SweepSpace {
  const d = Math.max(...cells.map(({ columns }) => columns.length));
  const size = Math.max(...cells.flatMap(({ stages }) => stages.map((stage) => stage.size)));
  return {
    sums: arena.f32(width * stride),
    deltas: arena.f32(width * stride),
    coupling: arena.f32(width * width),
    factor: arena.f32(d * d),
    shift: arena.f32(d * d),
    tiles: arena.f32(size * (d + 1)),
    scratch: arena.f32(2 * d * (stride + 16)),
  };
}

/** Noise of an annealed sweep, in the kernels' memory. */
export interface Noise {
  /** Of every row's generator (kernel startNoise). */
  readonly states: Int32Array;
  /** 6 × temperature of every row, in the unit of losses. */
  readonly temperatures: Float32Array;
}

/** One step: a cell, one of its stages, and how many columns of `sums` are updated. */
export interface Step {
  readonly cell: PlacedCell;
  readonly stage: number;
  /** What is to be coded: a panel by position, nothing, or what the codes stand for now. */
  readonly base: Float32Array | 'nothing' | 'kept';
  readonly metric: Metric;
  /** First position of the cell in the block. */
  readonly local: number;
  /** Width of the block. */
  readonly width: number;
  readonly reach: number;
  readonly noise?: Noise;
}

/** Takes the best codeword for every row of a cell (kernel sweepVector). */
export function takeBest({ context, weight, scale }: VectorLayer, space: SweepSpace, step: Step): void {
  const { cell, base, metric, local, width, noise } = step;
  const stage = cell.stages[step.stage];
  if (!stage) throw new Error(`a cell without stage ${step.stage}`);
  const { kernels } = context;
  const { stride } = weight;
  const d = cell.columns.length;
  space.factor.set(metric.factor);
  space.shift.set(metric.shift);
  const { factor, tiles } = space;
  kernels.call('tileCodebook', { codebook: stage.entries, size: stage.size, d, factor, tiles });
  kernels.parallel('sweepVector', stride, {
    stride,
    d,
    columns: cell.columns,
    base: typeof base === 'string' ? undefined : base,
    kept: base === 'kept',
    sums: space.sums,
    deltas: space.deltas,
    at: local,
    to: step.reach,
    shift: space.shift,
    factor,
    coupling: space.coupling.subarray(local * width),
    pitch: width,
    scale,
    codebook: stage.entries,
    tiles,
    size: stage.size,
    codes: stage.codes,
    noise: noise?.states,
    temperatures: noise?.temperatures,
    scratch: space.scratch,
  });
}
