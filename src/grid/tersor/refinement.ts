import type { Arena, Kernels } from '../../kernels/kernels.js';
import { inKernelMemory, strideOf } from '../../kernels/panel.js';
import type { Encoded, Grid } from '../grid.js';

/** Integers of one refinement are codes in this many steps around zero. */
const largest = 127;
/** Bytes that one integer may take when nothing about it was foreseen, and of a stream that holds none. */
const worstBytes = 4;
const leastBytes = 8;

/**
 * Multiples of one step for all weights of a tensor: with as many levels as it takes and their frequencies exploited
 * afterwards by entropy coding, the uniform quantizer loses 0.25 bit at most against anything that treats weights one by
 * one (Gish and Pierce, 1968). Solvers need nothing else of a grid; packing is `encodeRefinement`'s.
 */
export function refinementGrid(step: number): Grid {
  const name = 'refinement';
  const unpackable = () => Promise.reject(new Error('refinements are packed by encodeRefinement'));
  return {
    name,
    summary: 'entropy-coded multiples of one step',
    levels: { kind: 'uniform', min: -largest, max: largest },
    blockSize: 1,
    blockBytes: 1,
    groupSize: Number.POSITIVE_INFINITY,
    runtimes: ['tersor'],
    bytes: (rows, cols) => rows * cols,
    allocate: (arena, rows) => ({
      scale: arena.f32(strideOf(rows)).fill(step),
      offset: arena.f32(strideOf(rows)).fill(-0),
      stored: {},
    }),
    async fit(_kernels, _weight, _importance, { scale }) {
      scale.fill(step);
    },
    pack: unpackable,
    unpack: unpackable,
  };
}

/** Rows [from, to) of the integers that a solver found, as bytes that `addRefinement` reads. */
export async function encodeRefinement(
  kernels: Kernels,
  { codes, stride, cols }: Pick<Encoded, 'codes' | 'stride' | 'cols'>,
  from: number,
  to: number,
): Promise<Uint8Array> {
  if (!codes) throw new Error('refinements store codes');
  const rows = to - from;
  return kernels.scope((arena) => {
    const into = arena.u8(rows * cols * worstBytes + leastBytes);
    const scratch = scratchFor(kernels, arena, cols);
    const own = codes.subarray(from);
    const length = kernels.call('encodeRefinement', {
      codes: own,
      stride,
      rows,
      cols,
      zero: largest,
      scratch,
      into,
    });
    return into.slice(0, length);
  });
}

/**
 * Adds what the bytes hold to the values of the rows that were encoded.
 * @param steps one per column
 * @param values rows × cols, row-major
 * @returns whether the bytes hold as many integers as there are values
 */
export async function addRefinement(
  kernels: Kernels,
  bytes: Uint8Array,
  steps: Float32Array,
  values: Float32Array,
): Promise<boolean> {
  const cols = steps.length;
  return kernels.scope((arena) => {
    const stored = arena.u8(bytes.length);
    stored.set(bytes);
    const inside = inKernelMemory(values) ? values : arena.f32(values.length);
    inside.set(values);
    const factors = arena.f32(cols);
    factors.set(steps);
    const scratch = scratchFor(kernels, arena, cols);
    const complete = kernels.call('decodeRefinement', {
      bytes: stored,
      size: bytes.length,
      rows: values.length / cols,
      cols,
      steps: factors,
      scratch,
      values: inside,
    });
    values.set(inside);
    return complete;
  });
}

/** Steps of columns lie eighths of an octave apart, as codes of a byte. */
const roots = [
  1,
  1.0905077326652577,
  1.189207115002721,
  1.2968395546510096,
  Math.SQRT2,
  1.5422108254079407,
  1.6817928305074292,
  1.8340080864093424,
];

/** What a code stands for: 2^(code / 8). Not left to an engine's own powers, which may differ in the last bit. */
const columnFactor = (code: number): number => 2 ** Math.floor(code / 8) * (roots[((code % 8) + 8) % 8] ?? 1);

/** Codes of factors, as near as there are. */
export const columnCodes = (factors: readonly number[]): Int8Array =>
  Int8Array.from(factors, (factor) => Math.min(127, Math.max(-128, Math.round(8 * Math.log2(factor)))));

/** The step of every column of a tensor: one for all, or times a factor of each column. */
export function columnSteps(step: number, cols: number, codes: Int8Array | undefined): Float32Array {
  return Float32Array.from({ length: cols }, (_, col) => step * (codes ? columnFactor(codes[col] ?? 0) : 1));
}

const scratchFor = (kernels: Kernels, arena: Arena, cols: number) =>
  arena.u8(kernels.call('refinementScratch', { cols }));
