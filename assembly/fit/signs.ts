// Sums of scaled signs per row (src/grid/tersor/signs.ts): a row's values are ±a₀ ± a₁ … ± aₙ₋₁.

import { F32Array, U8Array } from '../arrays';
import { storableHalf } from '../numbers/storable';
import { count, firstAbove, placeSortedRow, sortedRowBytes, sortRow, sumOf, weightOf } from './sorted-row';

const maximumPlanes: i32 = 4;
const rounds: i32 = 20;

/** Added to the diagonal of the normal equations, relative to it, where planes cannot be told apart. */
const ridge: f64 = 1e-9;

/** Scales of the planes, the sums that they make in ascending order, and the signs that each stands for. */
let scales: usize = 0;
let sums: usize = 0;
let patterns: usize = 0;

/** Normal equations, maximumPlanes + 1 doubles a row. */
let matrix: usize = 0;

/** Bytes of scratch per sixteen rows. */
export function signsScratch(cols: i32): i32 {
  return sortedRowBytes(cols) + 1024;
}

@unmanaged
export class FitSigns {
  weight: F32Array;
  stride: i32;
  cols: i32;
  /** Vectors made by spreadImportance. */
  importance: F32Array;
  planes: i32;
  /** planes × stride, written: halves. */
  basis: F32Array;
  scratch: U8Array;
}

/**
 * Finds the scales of `planes` sign planes per row by minimising Σ w (x − Σ ±a)²: plane after plane starts as the mean
 * magnitude of what is left, then signs and scales are solved for in turn (XNOR-Net's closed form for the first, Guo et
 * al., Network sketching, 2017, for the refinement).
 */
export function fitSigns(start: i32, end: i32, record: FitSigns): void {
  const weight = record.weight;
  const stride = record.stride;
  const cols = record.cols;
  const importance = record.importance;
  const planes = record.planes;
  const basis = record.basis;
  const scratch = record.scratch;
  const pitch = (<usize>stride) << 2;
  const own = scratch + <usize>(start >> 4) * <usize>signsScratch(cols);
  place(placeSortedRow((own + 7) & ~7, cols));
  for (let row = start; row < end; row++) {
    const lane = (<usize>row) << 2;
    sortRow(weight + lane, pitch, importance);
    for (let plane = 0; plane < planes; plane++) {
      combine(plane);
      store<f64>(scales + ((<usize>plane) << 3), meanResidual(1 << plane));
      for (let round = 0; round < rounds; round++) {
        combine(plane + 1);
        solveScales(plane + 1);
      }
    }
    for (let plane: usize = 0; plane < <usize>planes; plane++) {
      const half = storableHalf(f32x4.splat(<f32>load<f64>(scales + (plane << 3))));
      store<f32>(basis + plane * pitch + lane, f32x4.extract_lane(half, 0));
    }
  }
}

@unmanaged
export class SignLevels {
  basis: F32Array;
  planes: i32;
  stride: i32;
  codebook: F32Array;
  /** 1024 bytes per sixteen rows. */
  scratch: U8Array;
}

/** Writes the sums of the planes of rows [start, end) in ascending order: 2^planes × stride. */
export function signLevels(start: i32, end: i32, record: SignLevels): void {
  const basis = record.basis;
  const planes = record.planes;
  const stride = record.stride;
  const codebook = record.codebook;
  const scratch = record.scratch;
  const pitch = (<usize>stride) << 2;
  place(scratch + ((<usize>(start >> 4)) << 10));
  for (let row = start; row < end; row++) {
    const lane = (<usize>row) << 2;
    for (let plane: usize = 0; plane < <usize>planes; plane++) {
      store<f64>(scales + (plane << 3), <f64>load<f32>(basis + plane * pitch + lane));
    }
    combine(planes);
    for (let i: usize = 0; i < <usize>(1 << planes); i++) {
      store<f32>(codebook + i * pitch + lane, <f32>load<f64>(sums + (i << 3)));
    }
  }
}

function place(at: usize): void {
  scales = at;
  sums = scales + 8 * maximumPlanes;
  patterns = sums + ((<usize>8) << maximumPlanes);
  matrix = patterns + ((<usize>4) << maximumPlanes);
}

/** Sets sums and patterns of so many planes, by insertion. */
function combine(planes: i32): void {
  for (let pattern = 0; pattern < 1 << planes; pattern++) {
    let sum: f64 = 0;
    for (let plane = 0; plane < planes; plane++) {
      const scale = load<f64>(scales + ((<usize>plane) << 3));
      sum += (pattern >> plane) & 1 ? scale : -scale;
    }
    let i = <usize>pattern;
    for (; i > 0 && load<f64>(sums + (i << 3) - 8) > sum; i--) {
      store<f64>(sums + (i << 3), load<f64>(sums + (i << 3) - 8));
      store<i32>(patterns + (i << 2), load<i32>(patterns + (i << 2) - 4));
    }
    store<f64>(sums + (i << 3), sum);
    store<i32>(patterns + (i << 2), pattern);
  }
}

/** The position of the first number that is nearer to sum i than to the one before. */
function boundary(i: i32, size: i32): i32 {
  if (i == 0) return 0;
  if (i == size) return count;
  const at = sums + ((<usize>i) << 3);
  return firstAbove(0.5 * (load<f64>(at - 8) + load<f64>(at)));
}

/** Σ w |x − nearest sum| / Σ w. */
function meanResidual(size: i32): f64 {
  let total: f64 = 0;
  for (let i = 0; i < size; i++) {
    const sum = load<f64>(sums + ((<usize>i) << 3));
    const from = boundary(i, size);
    const to = boundary(i + 1, size);
    const middle = min(to, max(from, firstAbove(sum)));
    total +=
      sum * weightOf(from, middle) - sumOf(from, middle) + sumOf(middle, to) - sum * weightOf(middle, to);
  }
  return total / weightOf(0, count);
}

function entry(row: i32, col: i32): usize {
  return matrix + ((<usize>(row * (maximumPlanes + 1) + col)) << 3);
}

/** The least-squares scales for the signs that nearest sums give. */
function solveScales(planes: i32): void {
  memory.fill(matrix, 0, 8 * maximumPlanes * (maximumPlanes + 1));
  const size = 1 << planes;
  for (let i = 0; i < size; i++) {
    const from = boundary(i, size);
    const to = boundary(i + 1, size);
    const pattern = load<i32>(patterns + ((<usize>i) << 2));
    for (let row = 0; row < planes; row++) {
      const sign: f64 = (pattern >> row) & 1 ? 1 : -1;
      for (let col = 0; col < planes; col++) {
        const other: f64 = (pattern >> col) & 1 ? 1 : -1;
        store<f64>(entry(row, col), load<f64>(entry(row, col)) + sign * other * weightOf(from, to));
      }
      store<f64>(entry(row, planes), load<f64>(entry(row, planes)) + sign * sumOf(from, to));
    }
  }
  // The matrix is positive semi-definite: elimination needs no pivoting.
  for (let row = 0; row < planes; row++) {
    store<f64>(entry(row, row), load<f64>(entry(row, row)) * (1 + ridge));
  }
  for (let pivot = 0; pivot < planes; pivot++) {
    for (let row = pivot + 1; row < planes; row++) {
      const factor = load<f64>(entry(row, pivot)) / load<f64>(entry(pivot, pivot));
      for (let col = pivot; col <= planes; col++) {
        store<f64>(entry(row, col), load<f64>(entry(row, col)) - factor * load<f64>(entry(pivot, col)));
      }
    }
  }
  for (let row = planes - 1; row >= 0; row--) {
    let value = load<f64>(entry(row, planes));
    for (let col = row + 1; col < planes; col++) {
      value -= load<f64>(entry(row, col)) * load<f64>(scales + ((<usize>col) << 3));
    }
    store<f64>(scales + ((<usize>row) << 3), value / load<f64>(entry(row, row)));
  }
}
