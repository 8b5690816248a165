import { programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import { createGemm } from '../runtime/gemm.js';
import type { Dense, RuntimeOptions } from '../runtime/session.js';
import type { Moments } from '../types.js';

/** Rows [from, from + count) of a batch. */
export interface RowRange {
  readonly from: number;
  readonly count: number;
}

/** Sums over the inputs of one site, batch after batch. */
export interface MomentSums {
  /**
   * @param own x̃, tokens × width
   * @param original x of the same tokens in the original model, where cross moments are wanted
   * @param without rows that add nothing, ascending
   */
  add(own: Float32Array, original?: Float32Array, without?: readonly RowRange[]): Promise<void>;
  /** What is about all rows that were added; the sums are no more after it. */
  mean(): Promise<Required<Pick<Moments, 'gram' | 'means' | 'tokens'>> & Pick<Moments, 'crossMoments'>>;
}

export interface SumOptions {
  /** Whether inputs of the original model come with every batch. */
  readonly cross?: boolean;
  /** Tokens that are expected, for which room is made. */
  readonly tokens?: number;
}

/**
 * Floats of the inputs that are collected before they are multiplied. A product over few tokens spends its time on the
 * sums, which are read and written once for each.
 */
const collectedFloats = 1 << 24;
/** Sides of the squares of a sum, about: the lower half of a sum is not computed, and of one square there is none. */
const side = 1024;
// Rows that onnxruntime's product takes together at most: parts of so many rows give what the whole would.
const rowQuantum = 16;

/** Tokens that are multiplied together. */
const collectedTokens = (width: number, tokens = Number.POSITIVE_INFINITY): number =>
  Math.min(tokens, Math.max(rowQuantum, Math.floor(collectedFloats / width)));

/** Columns of a sum that are multiplied together. */
const blockWidth = (width: number): number => {
  const count = Math.max(1, Math.round(width / side));
  return Math.min(width, Math.ceil(width / count / rowQuantum) * rowQuantum);
};

/** Floats beside the sums themselves: inputs that are collected, one product, and rows of a sum that are put in order. */
export function momentRoom(width: number, models: number, tokens: number): number {
  const [block, collected] = [blockWidth(width), collectedTokens(width, tokens)];
  return models * collected * width + (models - 1) * collected * block + block ** 2 + block * width;
}

export type MomentPrograms = ReturnType<typeof createMoments>;

/** Second moments and means of inputs; programs are shared by all sites. */
export function createMoments(options: RuntimeOptions = {}) {
  const gemm = createGemm(options);
  const cache = programCache(options);
  const minus = async (a: Float32Array, b: Float32Array): Promise<Float32Array> => {
    const program = await cache.get(`minus ${a.length}`, () => ({
      difference: g.sub(g.input('a', [a.length]), g.input('b', [b.length])),
    }));
    return (await program.run({ a, b })).difference as Float32Array;
  };
  const scaled = async (x: Float32Array, factor: number): Promise<Float32Array> => {
    const program = await cache.get(`scaled ${x.length}`, () => ({
      y: g.mul(g.input('x', [x.length]), g.input('factor', [1])),
    }));
    return (await program.run({ x, factor: Float32Array.of(factor) })).y as Float32Array;
  };
  const turned = async (x: Float32Array, rows: number, cols: number): Promise<Float32Array> => {
    const program = await cache.get(`turned ${rows} ${cols}`, () => ({
      y: g.transpose(g.input('x', [rows, cols]), [1, 0]),
    }));
    return (await program.run({ x })).y as Float32Array;
  };

  return {
    sums(width: number, { cross = false, tokens: expected }: SumOptions = {}): MomentSums {
      const blocks = blocksOf(width);
      const most = collectedTokens(width, expected);
      const own = collector(blocks, most);
      const originals = cross ? collector(blocks, most) : undefined;
      const gram = squares(blocks, width, true);
      const crossMoments = cross ? squares(blocks, width, false) : undefined;
      const ownSums = new Float64Array(width);
      const differences = new Float64Array(width);
      let spare: Float32Array = new Float32Array(0);
      let tokens = 0;

      /** square += aᵀ b */
      const addProduct = async (square: Float32Array, a: Dense, b: Dense, first: boolean) => {
        if (first) return void (await gemm(a, b, { transposeA: true, into: square }));
        if (spare.length < square.length) spare = new Float32Array(square.length);
        const shape = [a.shape[1] ?? 0, b.shape[1] ?? 0];
        const into = spare.subarray(0, square.length);
        await gemm(a, b, { transposeA: true, add: { data: square, shape }, into });
        square.set(into);
      };
      const addColumns = async (sums: Float64Array, from: number, block: Dense) => {
        const ones = { data: new Float32Array(block.shape[0] ?? 0).fill(1), shape: [1, block.shape[0] ?? 0] };
        for (const [at, sum] of (await gemm(ones, block)).entries())
          sums[from + at] = (sums[from + at] ?? 0) + sum;
      };

      /** Multiplies what is collected. */
      const flush = async () => {
        const count = own.tokens;
        if (count === 0) return;
        const first = tokens === 0;
        const inputs = blocks.map((_, i) => own.block(i));
        for (const [i, block] of inputs.entries()) {
          const { from } = blocks[i] as Block;
          await addColumns(ownSums, from, block);
          for (const [j, other] of inputs.entries())
            if (j >= i) await addProduct(gram.square(i, j), block, other, first);
          if (!originals || !crossMoments) continue;
          const original = originals.block(i).data as Float32Array;
          const data = await minus(original, block.data as Float32Array);
          const difference = { data, shape: block.shape };
          await addColumns(differences, from, difference);
          for (const [j, other] of inputs.entries())
            await addProduct(crossMoments.square(i, j), difference, other, first);
        }
        own.clear();
        originals?.clear();
        tokens += count;
      };

      return {
        async add(x, original, without = []) {
          for (const { from, count } of rest(without, x.length / width)) {
            for (let at = from; at < from + count; ) {
              const part = Math.min(from + count - at, most - own.tokens);
              own.take(x, at, part);
              if (original) originals?.take(original, at, part);
              at += part;
              if (own.tokens === most) await flush();
            }
          }
        },
        async mean() {
          await flush();
          const tools = { turned, scaled: (x: Float32Array) => scaled(x, 1 / tokens) };
          const means = Float32Array.from(ownSums, (sum) => sum / tokens);
          const originalMeans = Float32Array.from(
            ownSums,
            (sum, i) => (sum + (differences[i] ?? 0)) / tokens,
          );
          const matrix = (data: Float32Array) => ({ rows: width, cols: width, data });
          return {
            gram: matrix(await gram.rows(tools)),
            ...(crossMoments ? { crossMoments: matrix(await crossMoments.rows(tools)) } : {}),
            means: { original: cross ? originalMeans : means, own: means },
            tokens,
          };
        },
      };
    },
    async release() {
      await Promise.all([gemm.release(), cache.release()]);
    },
  };
}

/** Some columns of the inputs. */
interface Block {
  readonly from: number;
  readonly size: number;
}

function blocksOf(width: number): Block[] {
  const size = blockWidth(width);
  return Array.from({ length: Math.ceil(width / size) }, (_, i) => ({
    from: i * size,
    size: Math.min(size, width - i * size),
  }));
}

/** Rows that are not among those given. */
function* rest(without: readonly RowRange[], rows: number): Generator<RowRange> {
  let at = 0;
  for (const { from, count } of [...without, { from: rows, count: 0 }]) {
    if (from > at) yield { from: at, count: from - at };
    at = from + count;
  }
}

/** Inputs, block of columns by block of columns, each tokens × size. */
function collector(blocks: readonly Block[], capacity: number) {
  const width = blocks.reduce((sum, { size }) => sum + size, 0);
  const arrays = blocks.map(({ size }) => new Float32Array(capacity * size));
  let tokens = 0;
  return {
    get tokens() {
      return tokens;
    },
    take(x: Float32Array, row: number, count: number) {
      for (const [i, { from, size }] of blocks.entries()) {
        const array = arrays[i] as Float32Array;
        if (size === width) array.set(x.subarray(row * width, (row + count) * width), tokens * width);
        else
          for (let at = 0; at < count; at++) {
            const start = (row + at) * width + from;
            array.set(x.subarray(start, start + size), (tokens + at) * size);
          }
      }
      tokens += count;
    },
    block(i: number): Dense {
      const size = blocks[i]?.size ?? 0;
      return { data: arrays[i]?.subarray(0, tokens * size) ?? new Float32Array(), shape: [tokens, size] };
    },
    clear() {
      tokens = 0;
    },
  };
}

interface Tools {
  turned(x: Float32Array, rows: number, cols: number): Promise<Float32Array>;
  scaled(x: Float32Array): Promise<Float32Array>;
}

/**
 * A sum of width × width while it is made: where the rows of a block of columns will be, there lie its squares, one after
 * another, those of the diagonal first where the others follow by symmetry.
 */
function squares(blocks: readonly Block[], width: number, symmetric: boolean) {
  const data = new Float32Array(width * width);
  const firstOf = (i: number) => (symmetric ? i : 0);
  const square = (
    i: number,
    j: number,
    of: Float32Array = data,
    start = (blocks[i]?.from ?? 0) * width,
  ): Float32Array => {
    const [row, first, column] = [blocks[i], blocks[firstOf(i)], blocks[j]] as [Block, Block, Block];
    const offset = start + row.size * (column.from - first.from);
    return of.subarray(offset, offset + row.size * column.size);
  };
  const put = (values: Float32Array, to: Block, at: Block) => {
    for (let row = 0; row < to.size; row++)
      data.set(values.subarray(row * at.size, (row + 1) * at.size), (to.from + row) * width + at.from);
  };
  return {
    square: (i: number, j: number) => square(i, j),
    /** Puts all in order of rows. */
    async rows({ turned, scaled }: Tools): Promise<Float32Array> {
      // From the last: below a square of the diagonal the squares of later rows are in order already.
      for (const [i, own] of [...blocks.entries()].reverse()) {
        const start = own.from * width;
        const length = own.size * (width - (blocks[firstOf(i)]?.from ?? 0));
        const means = await scaled(data.subarray(start, start + length));
        for (const [j, other] of blocks.entries()) {
          if (j < firstOf(i)) continue;
          const values = square(i, j, means, 0);
          put(values, own, other);
          if (symmetric && j > i) put(await turned(values, own.size, other.size), other, own);
        }
      }
      return data;
    },
  };
}
