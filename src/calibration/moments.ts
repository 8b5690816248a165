import { programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix } from '../types.js';

/** Σ x yᵀ over tokens, batch after batch. */
export interface MomentSum {
  /** @param x and y tokens × width */
  add(x: Float32Array, y: Float32Array): Promise<void>;
  /** E[x yᵀ]; the sum is no more after it. */
  mean(tokens: number): Matrix;
}

/** Σ x over tokens, batch after batch. */
export interface VectorSum {
  /** @param x tokens × width */
  add(x: Float32Array): Promise<void>;
  /** E[x] */
  mean(tokens: number): Float32Array;
}

export interface MomentSums {
  /**
   * A sum of width × width, which takes memory from the first addition on.
   * @param rows whether there is a different number of tokens each time, perhaps none
   */
  sum(width: number, rows?: 'few rows'): MomentSum;
  vector(width: number, rows?: 'few rows'): VectorSum;
  /** a − b, in the array of a. */
  subtract(a: Matrix, b: Matrix): Promise<Matrix>;
  release(): Promise<void>;
}

/**
 * Elements of a sum that are brought up to date at a time: onnxruntime takes the sum so far in and gives a new one out,
 * and a whole one beside the sums themselves would be the largest array of all (14336² floats are 0.8 GB).
 */
const stripElements = 1 << 23;
// Rows that onnxruntime's product takes together at most: strips of so many give what the whole would.
const rowQuantum = 16;

/** More tokens than any batch has. */
const mostFewRows = 2 ** 30;

/** Rows of a strip of a sum. */
export const stripRows = (width: number): number =>
  Math.min(width, Math.ceil(stripElements / width / rowQuantum) * rowQuantum);

/** Running sums of second moments; programs are shared by sums of a width. */
export function createMoments(options: RuntimeOptions = {}): MomentSums {
  const cache = programCache(options);
  /** Receives a strip that becomes part of a sum. */
  let strip = new Float32Array(0);
  const stripOf = (length: number): Float32Array => {
    if (strip.length < length) strip = new Float32Array(length);
    return strip.subarray(0, length);
  };
  return {
    sum(width, few) {
      const height = stripRows(width);
      let total = new Float32Array(0);
      return {
        async add(x, y) {
          if (total.length === 0) total = new Float32Array(width * width);
          if (x.length === 0) return;
          const tokens = few ? mostFewRows : x.length / width;
          for (let from = 0; from < width; from += height) {
            const rows = Math.min(height, width - from);
            const program = await cache.get(`${few ?? tokens} ${rows} ${width}`, () =>
              addition(few ? g.boundedInput : g.input, tokens, rows, width),
            );
            const part = rows === width ? x : columns(x, width, from, rows);
            const previous = total.subarray(from * width, (from + rows) * width);
            const next = stripOf(previous.length);
            await program.run({ x: part, y, previous }, { next });
            previous.set(next);
          }
        },
        mean(tokens) {
          for (let at = 0; at < total.length; at++) total[at] = (total[at] ?? 0) / tokens;
          return { rows: width, cols: width, data: total };
        },
      };
    },
    vector(width, few) {
      const total = new Float64Array(width);
      return {
        async add(x) {
          if (x.length === 0) return;
          const tokens = few ? mostFewRows : x.length / width;
          const program = await cache.get(`vector ${few ?? tokens} ${width}`, () => ({
            y: g.sum((few ? g.boundedInput : g.input)('x', [tokens, width]), 0),
          }));
          const { y } = await program.run({ x });
          y?.forEach((value, at) => {
            total[at] = (total[at] ?? 0) + value;
          });
        },
        mean: (tokens) => Float32Array.from(total, (value) => value / tokens),
      };
    },
    async subtract(a, b) {
      const { rows, cols } = a;
      const height = stripRows(cols);
      for (let from = 0; from < rows; from += height) {
        const range = [from * cols, Math.min(rows, from + height) * cols] as const;
        const part = a.data.subarray(...range);
        const program = await cache.get(`minus ${part.length}`, () => ({
          difference: g.sub(g.input('a', [part.length]), g.input('b', [part.length])),
        }));
        const difference = stripOf(part.length);
        await program.run({ a: part, b: b.data.subarray(...range) }, { difference });
        part.set(difference);
      }
      return a;
    },
    release: cache.release,
  };
}

function addition(input: typeof g.boundedInput, tokens: number, rows: number, width: number) {
  const [x, y] = [input('x', [tokens, rows]), input('y', [tokens, width])];
  return { next: g.moment(x, y, g.input('previous', [rows, width])) };
}

/** Columns [from, from + count) of a matrix with rows of this width. */
function columns(data: Float32Array, width: number, from: number, count: number): Float32Array {
  const result = new Float32Array((data.length / width) * count);
  for (let row = 0; row * width < data.length; row++) {
    const start = row * width + from;
    result.set(data.subarray(start, start + count), row * count);
  }
  return result;
}
