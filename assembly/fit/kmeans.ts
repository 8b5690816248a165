// Weighted one-dimensional k-means of every row (src/grid/tersor/codebook.ts).

import { F32Array, U8Array } from '../arrays';
import { storableHalf } from '../numbers/storable';
import { count, firstAbove, placeSortedRow, sortedRowBytes, sortRow, sumOf, weightOf } from './sorted-row';

/**
 * Rows of up to this many numbers are clustered exactly. Of longer rows neighbours are joined to so many runs first,
 * which costs the optimum some hundredths of a percent, and Lloyd's algorithm on all numbers wins most of it back.
 */
const maximumRuns: i32 = 512;
const lloydRounds: i32 = 50;
let runs: i32 = 0;

/** Σ (Σ w x)² / Σ w over the clusters of the first r runs, at its largest: with one cluster fewer, and now. */
let before: usize = 0;
let now: usize = 0;

/** Per number of clusters and runs: where the last cluster begins (u16). */
let choices: usize = 0;

/** Positions at which clusters begin, and their centroids. */
let bounds: usize = 0;
let centroids: usize = 0;

/** Bytes of scratch per sixteen rows. */
export function codebookScratch(cols: i32, size: i32): i32 {
  return sortedRowBytes(cols) + (maximumRuns + 1) * (2 * 8 + 2 * size) + size * 16 + 64;
}

/** Largest value of a codebook: a signed byte without its lowest. */
const largestEntry: f64 = 127;

@unmanaged
export class FitCodebooks {
  weight: F32Array;
  stride: i32;
  cols: i32;
  /** Vectors made by spreadImportance. */
  importance: F32Array;
  size: i32;
  /** size × stride, written; `scale` is one line. */
  codebook: F32Array;
  scale: F32Array;
  scratch: U8Array;
}

/**
 * Finds the `size` values per row that minimise Σ w (x − nearest value)²: the centroids of an optimal clustering
 * (SqueezeLLM, Kim et al., 2023, section 4.1; exact as Ckmeans.1d.dp, Wang and Song, 2011). Dynamic programming: the
 * optimal last cluster begins no earlier when more numbers are to be clustered, so that divide and conquer takes
 * size · n log n steps. The values are stored as a half scale per row times signed bytes in ascending order.
 */
export function fitCodebooks(start: i32, end: i32, record: FitCodebooks): void {
  const weight = record.weight;
  const stride = record.stride;
  const cols = record.cols;
  const importance = record.importance;
  const size = record.size;
  const codebook = record.codebook;
  const scales = record.scale;
  const scratch = record.scratch;
  const pitch = (<usize>stride) << 2;
  place(scratch + <usize>(start >> 4) * <usize>codebookScratch(cols, size), cols, size);
  for (let row = start; row < end; row++) {
    const lane = (<usize>row) << 2;
    sortRow(weight + lane, pitch, importance);
    cluster(size);
    for (let round = 0; round < lloydRounds; round++) {
      setCentroids(size);
      if (!moveBounds(size)) break;
    }
    const scale = scaleOf(size);
    store<f32>(scales + lane, scale);
    for (let i: usize = 0; i < <usize>size; i++) {
      const entry = scale > 0 ? nearest(load<f64>(centroids + (i << 3)) / <f64>scale) : 0;
      const bounded = min(largestEntry, max(-largestEntry, entry));
      // A byte has no −0.
      store<f32>(codebook + i * pitch + lane, <f32>(bounded + 0));
    }
  }
}

/** The scale that makes the outermost centroid the largest entry. */
function scaleOf(size: i32): f32 {
  const extreme = max(-load<f64>(centroids), load<f64>(centroids + ((<usize>size - 1) << 3)));
  return f32x4.extract_lane(storableHalf(f32x4.splat(<f32>(extreme / largestEntry))), 0);
}

function place(memory: usize, cols: i32, size: i32): void {
  runs = min(cols, maximumRuns);
  before = placeSortedRow((memory + 7) & ~7, cols);
  now = before + ((<usize>runs + 1) << 3);
  centroids = now + ((<usize>runs + 1) << 3);
  bounds = centroids + ((<usize>size) << 3);
  choices = bounds + ((<usize>size + 1) << 2);
}

/** The position at which a run begins. */
function edge(run: i32): i32 {
  return <i32>((<i64>run * <i64>count) / <i64>runs);
}

/** By how much Σ w x² − Σ w (x − c)² grows with a cluster of runs [from, to): (Σ w x)² / Σ w. */
function gain(from: i32, to: i32): f64 {
  if (from == to) return 0;
  const first = edge(from);
  const last = edge(to);
  const sum = sumOf(first, last);
  return (sum * sum) / weightOf(first, last);
}

/** Where a cluster begins when there are `clusters` for the first `last` runs. */
function choiceAt(clusters: i32, last: i32): usize {
  return choices + ((<usize>(clusters * (runs + 1) + last)) << 1);
}

function cluster(size: i32): void {
  for (let r = 0; r <= runs; r++) store<f64>(now + ((<usize>r) << 3), gain(0, r));
  for (let clusters = 1; clusters < size; clusters++) {
    const swap = before;
    before = now;
    now = swap;
    solve(clusters, 0, runs, 0, runs);
  }
  let last = runs;
  store<i32>(bounds + ((<usize>size) << 2), count);
  for (let clusters = size - 1; clusters > 0; clusters--) {
    last = load<u16>(choiceAt(clusters, last));
    store<i32>(bounds + ((<usize>clusters) << 2), edge(last));
  }
  store<i32>(bounds, 0);
}

/** Solves for the first r runs, r in [low, high], whose last cluster begins in [first, last]. */
function solve(clusters: i32, low: i32, high: i32, first: i32, last: i32): void {
  if (low > high) return;
  const middle = (low + high) >> 1;
  let best: f64 = -1;
  let choice = first;
  for (let begin = first; begin <= min(middle, last); begin++) {
    const total = load<f64>(before + ((<usize>begin) << 3)) + gain(begin, middle);
    if (total > best) {
      best = total;
      choice = begin;
    }
  }
  store<f64>(now + ((<usize>middle) << 3), best);
  store<u16>(choiceAt(clusters, middle), <u16>choice);
  solve(clusters, low, middle - 1, first, choice);
  solve(clusters, middle + 1, high, choice, last);
}

/** Means of the clusters; an empty one repeats its neighbour's. */
function setCentroids(size: i32): void {
  let mean: f64 = sumOf(0, firstEnd(size)) / weightOf(0, firstEnd(size));
  for (let i: usize = 0; i < <usize>size; i++) {
    const from = load<i32>(bounds + (i << 2));
    const to = load<i32>(bounds + (i << 2), 4);
    if (from < to) mean = sumOf(from, to) / weightOf(from, to);
    store<f64>(centroids + (i << 3), mean);
  }
}

/** Where the first cluster that is not empty ends. */
function firstEnd(size: i32): i32 {
  for (let i: usize = 1; i < <usize>size; i++) {
    const end = load<i32>(bounds + (i << 2));
    if (end > 0) return end;
  }
  return count;
}

/** Gives every number to the nearest centroid; false if nothing changes. */
function moveBounds(size: i32): bool {
  let moved = false;
  for (let i: usize = 1; i < <usize>size; i++) {
    const own = centroids + (i << 3);
    const bound = firstAbove(0.5 * (load<f64>(own - 8) + load<f64>(own)));
    if (bound == load<i32>(bounds + (i << 2))) continue;
    store<i32>(bounds + (i << 2), bound);
    moved = true;
  }
  return moved;
}
