import type { Arena, Kernels } from '../kernels/kernels.js';
import type { Panel } from '../kernels/panel.js';

/**
 * The values a code may stand for, before scale and offset: consecutive integers, an ascending table of at
 * most 256 values, all values of a float type (no codes, no scales), or a codebook of `size` values for every row,
 * which stands in the parameters. Codes of kind `vector` stand for several columns at a time (src/grid/vector/vector.ts).
 */
export type Levels =
  | { readonly kind: 'uniform'; readonly min: number; readonly max: number }
  | { readonly kind: 'table'; readonly values: Float32Array }
  | { readonly kind: 'cast'; readonly type: 'f32' | 'f16' | 'bf16' }
  | { readonly kind: 'codebook'; readonly size: number }
  | { readonly kind: 'vector' };

/** How a format stores what `value = scale · level + offset` needs besides codes. */
export type ScaleStorage =
  | {
      /** The values themselves are float numbers. */
      readonly kind: 'none';
    }
  | {
      /**
       * One scale (and offset) of its own per group. `f16`: any finite half of either sign. `e8m0`: a power of
       * two 2^(e − 128) with e in [0, 254]; levels are twice the E2M1 values, hence 128 and not 127.
       */
      readonly kind: 'direct';
      readonly type: 'f16' | 'e8m0';
      readonly offset: boolean;
      /** Offsets are −scale · z for a whole z from 0, or the lowest, to this. */
      readonly zeroPoint?: number;
      readonly lowestZeroPoint?: number;
    }
  | {
      /**
       * Per block a half `superScale` (and `superOffset`, both of either sign), per group a small integer:
       * `scale = f32(superScale · scaleCode)`, `offset = −f32(superOffset · offsetCode)`.
       */
      readonly kind: 'two-level';
      readonly scaleMin: number;
      readonly scaleMax: number;
      readonly offset: { readonly min: number; readonly max: number } | undefined;
    };

/**
 * Scales and offsets of one tensor, every one of them storable in the grid's format:
 * `value = scale[group] · level[code] + offset[group]`, computed in f32 in this order.
 */
export interface Parameters {
  /** groups × stride, in the kernels' memory: group g of row r at `g * stride + r`. Solvers read only these two. */
  readonly scale: Float32Array;
  readonly offset: Float32Array;
  /** Levels of every row, ascending: size × stride, in the kernels' memory. Only for levels of kind `codebook`. */
  readonly codebook?: Float32Array;
  /** What the format stores in their place (super-block scales, integer scales), by name, same layout. */
  readonly stored: Readonly<Record<string, Float32Array | Uint8Array | Uint16Array>>;
}

/** An array of floats that `Grid.allocate` stored under this name. */
export function storedFloats({ stored }: Pick<Parameters, 'stored'>, name: string): Float32Array {
  const array = stored[name];
  if (!(array instanceof Float32Array)) throw missing(name);
  return array;
}

/** An array of bytes that `Grid.allocate` stored under this name. */
export function storedBytes({ stored }: Pick<Parameters, 'stored'>, name: string): Uint8Array {
  const array = stored[name];
  if (!(array instanceof Uint8Array)) throw missing(name);
  return array;
}

const missing = (name: string) => new Error(`parameters without ${name}; make them with the grid’s allocate`);

/** Codes and parameters of one tensor on a grid: what a solver makes and a writer packs. */
export interface Encoded {
  readonly grid: Grid;
  readonly rows: number;
  readonly stride: number;
  readonly cols: number;
  /** Index of the level, cols × stride (u8); absent for cast grids. */
  readonly codes?: Uint8Array;
  readonly parameters: Parameters;
  /** Decoded values as a panel (cols × stride), exactly as the target runtime decodes them. */
  readonly values: Float32Array;
}

/** A storable set of values for the weights of a tensor; one per format. */
export interface Grid {
  /** GGUF's lower-case type name, or tersor's own (`int4-g64`, `int3-channel`…). */
  readonly name: string;
  /** One line for people: how it stores weights. */
  readonly summary: string;
  readonly levels: Levels;
  /** Columns that are stored together (256 for K-quants); a row must be divisible by it. */
  readonly blockSize: number;
  /** Rows must be a multiple of it, where they are stored together. */
  readonly rowMultiple?: number;
  /** Runtimes load it as the weight of a block's linear layer only. */
  readonly linearOnly?: true;
  /** Bytes of one stored block. Own integer grids: bytes of codes and parameters per block. */
  readonly blockBytes: number;
  /** Columns that share one scale and offset; divides blockSize. `Infinity`: the whole row. */
  readonly groupSize: number;
  /** How scales and offsets are stored; absent where solvers cannot choose them by group. */
  readonly scale?: ScaleStorage;
  /** Runtimes that load the format as it is. */
  readonly runtimes: readonly ('llama.cpp' | 'onnxruntime' | 'vllm' | 'tersor')[];

  /** The only solver that finds its codes, under full second moments. */
  readonly solver?: string;

  /** Tells it from another grid of the same name, whose bytes or values differ. */
  readonly variant?: string;

  /** Rows cannot be packed and unpacked apart from each other: they share something that is stored once. */
  readonly whole?: true;

  /** Bytes of a tensor of this shape. */
  bytes(rows: number, cols: number): number;

  /** Room for the parameters of a whole tensor. */
  allocate(arena: Arena, rows: number, cols: number): Parameters;

  /**
   * Chooses storable scales and offsets for columns [from, from + weight.cols) by minimising
   * `Σ importance[col] · (w − nearest value)²` per row, and writes them into `parameters`.
   * `weight` holds only these columns; `from` and `weight.cols` are multiples of blockSize.
   * @param importance one weight per column of `weight`, in the kernels' memory: the diagonal of H
   */
  fit(
    kernels: Kernels,
    weight: Panel,
    importance: Float32Array,
    parameters: Parameters,
    from: number,
  ): Promise<void>;

  /** The bytes of rows [0, rows) in file order (row after row, block after block). */
  pack(kernels: Kernels, encoded: Encoded): Promise<Uint8Array>;

  /** The inverse of `pack`: codes, parameters and values, in arrays of the arena. */
  unpack(kernels: Kernels, arena: Arena, bytes: Uint8Array, rows: number, cols: number): Promise<Encoded>;
}

/** Whether a grid stores codes; the others store plain numbers, for which there is nothing to solve. */
export const isCoded = ({ levels }: Pick<Grid, 'levels'>): boolean => levels.kind !== 'cast';
