// Coordinate descent inside one block of columns (src/solver/descent/descent.ts).

import { F32Array, F64Array, I32Array, Optional, U8Array } from '../arrays';
import { reciprocal } from '../fit/sums';
import { GridLevels, levelOf, nearestCode } from '../rounding/levels';
import { annealBlock, setAnneal } from './anneal';
import { windowFloats } from './factor-windows';
import { descendGreedily } from './greedy';
import { refineGroup } from './refit';
import { arrays, StorageRules, setRefit, superColumnsOf } from './storage';
import {
  addGains,
  codes,
  codesAt,
  columnBytes,
  copyColumns,
  current0,
  current1,
  current2,
  current3,
  firstLane,
  gains,
  gradient,
  keepChange,
  levels,
  moved,
  moves,
  nextChange,
  pullGradient,
  pushChanges,
  setMoved,
  setRows,
  setStrip,
  square,
  storeCodes,
  stripBytes,
  stripVectors,
  values,
  width,
} from './strip';
import { refineSuper } from './super';
import { prepareWindow, roundWindow, setWindows, takeWindow } from './window';

// Columns whose changes are pulled one by one; all others get them at once.
const stepColumns: i32 = 32;

@unmanaged
export class DescendBlock {
  /** Panel columns of the block; `values` and `codes` likewise. */
  weight: F32Array;
  stride: i32;
  /** width × stride: (Δ H) of the block. */
  product: F32Array;
  /** width × width: H of the block, `damping` on its diagonal included. */
  hessian: F32Array;
  width: i32;
  /** Columns per scale; from width on, the whole block has one. */
  groupSize: i32;
  /** Of the block's groups, groups × stride; `offset` likewise. */
  scale: F32Array;
  offset: F32Array;
  levels: GridLevels;
  /** What scales and offsets may be (assembly/descent/storage.ts); without it they stay. */
  storage: Optional<StorageRules>;
  /** Every row first moves the columns that lower its loss most, whatever their order. */
  greedy: bool;
  /** Passes over the block; `refits` of them choose scales and offsets, too. */
  passes: i32;
  refits: i32;
  groupColumns: Optional<I32Array>;
  groupFactors: Optional<F32Array>;
  /** How many windows are tried behind the refits; columns and factors as for factorWindows. */
  windows: i32;
  windowSize: i32;
  windowColumns: I32Array;
  windowFactors: F32Array;
  /** What was added to the diagonal of H. */
  damping: f32;
  /** 6 × temperature of every row; without them no annealing. */
  temperatures: Optional<F32Array>;
  /** Noisy passes behind the refits (assembly/descent/anneal.ts); the others descend from what they leave. */
  annealingPasses: i32;
  /** Of the noise. */
  seed: i32;
  codes: U8Array;
  values: F32Array;
  /** width × stride, written: Δ. */
  deltas: F32Array;
  /**
   * 3 · By how much the loss of every row fell is added, how many columns moved one by one, and the block's part
   * of the loss before
   */
  gains: F64Array;
  /** `descentScratch` bytes per sixteen rows. */
  scratch: U8Array;
}

/**
 * Coordinate descent on the codes of a block of `width` columns, rows [start, end): every column takes
 * the value that minimises tr(Δ H Δᵀ) with all others held, and keeps its old one unless that lowers the loss.
 */
export function descendBlock(start: i32, end: i32, block: DescendBlock): void {
  const weight = block.weight;
  const stride = block.stride;
  const product = block.product;
  const groupSize = block.groupSize;
  const scales = block.scale;
  const offsets = block.offset;
  const storage = block.storage;
  const passes = block.passes;
  const refits = block.refits;
  const windowSize = block.windowSize;
  const temperatures = block.temperatures;
  const pitch = (<usize>stride) << 2;
  const group = min(groupSize, block.width);
  const own = block.scratch + <usize>start * (<usize>descentScratch(block.width, group, windowSize) >> 4);
  const behind = setStrip(own, block.hessian, block.width);
  for (let row = start; row < end; row += 4 * stripVectors) {
    const vectors = min(stripVectors, (end - row) >> 2);
    const lane = (<usize>row) << 2;
    copyColumns(gradient, stripBytes, product + lane, pitch, width, vectors);
    copyColumns(values, stripBytes, block.values + lane, pitch, width, vectors);
    loadCodes(block.codes + <usize>row, stride, vectors);
    setRows(block.levels, lane, vectors, block.gains, pitch);
    addDamping(weight + lane, pitch, vectors, block.damping, moves + (pitch << 1));
    if (temperatures) setAnneal(row, block.seed, temperatures + lane);
    for (let pass = 0; pass < passes; pass++) {
      setMoved(false);
      setWindows(behind);
      if (pass == min(refits, passes - 1) || (temperatures && pass == 0)) {
        for (let i = 0; i < block.windows; i++) {
          const index = block.windowColumns + ((<usize>(i * windowSize)) << 2);
          const factor = block.windowFactors + ((<usize>i * <usize>windowFloats(windowSize)) << 2);
          prepareWindow(windowSize, index, factor);
          if (roundWindow(groupSize, scales + lane, offsets + lane, pitch)) takeWindow();
        }
      }
      for (let v = 0; v < (block.greedy ? vectors : 0); v++) {
        descendGreedily(v, groupSize, scales + lane, offsets + lane, pitch);
      }
      for (let first = 0; first < width; first += group) {
        const parameters = <usize>(first / group) * pitch + lane;
        const last = min(width, first + group);
        if (pass < refits) {
          setRefit(behind + windowRoom(group, windowSize), storage);
          const columns = superColumnsOf();
          if (columns && first % columns == 0) refineSuper(first, group, scales, offsets, stride, row);
          const index = block.groupColumns + ((<usize>first) << 2);
          const factor = block.groupFactors + ((<usize>(first / group) * <usize>windowFloats(group)) << 2);
          refineGroup(first, group, scales, offsets, stride, row, index, factor);
        }
        for (let from = first; from < last; from += stepColumns) {
          step(from, min(last, from + stepColumns), scales + parameters, offsets + parameters, vectors);
        }
      }
      // Descending behind the noise would undo it.
      if (temperatures) {
        for (let pass = 0; pass < block.annealingPasses; pass++) {
          annealBlock(group, scales + lane, offsets + lane, pitch, vectors);
        }
        break;
      }
      if (!moved && pass >= refits) break;
    }
    storeBack(
      weight + lane,
      block.values + lane,
      block.deltas + lane,
      block.codes + <usize>row,
      stride,
      vectors,
    );
  }
}

/** Bytes of a strip that a window needs. */
function windowRoom(group: i32, windowSize: i32): usize {
  return <usize>max(group, windowSize) * (2 * stripBytes + 16);
}

/** Bytes of scratch that sixteen rows need; for narrower blocks less will do. */
export function descentScratch(blockWidth: i32, group: i32, windowSize: i32): i32 {
  return blockWidth * <i32>(columnBytes + 2 * stripBytes) + <i32>(windowRoom(group, windowSize) + arrays);
}

function loadCodes(bytes: usize, stride: i32, vectors: i32): void {
  for (let j: usize = 0; j < <usize>width; j++) {
    for (let v: usize = 0; v < <usize>vectors; v++) {
      store<u32>(codes + (j << 4) + (v << 2), load<u32>(bytes + j * stride + (v << 2)));
    }
  }
}

/** Adds the damping's part of the gradient, and Σ Δ G to the losses. */
function addDamping(weight: usize, pitch: usize, vectors: i32, damping: f32, losses: usize): void {
  const factor = f32x4.splat(damping);
  for (let at: usize = 0; at < (<usize>vectors) << 4; at += 16) {
    let loss = f32x4.splat(0);
    for (let j: usize = 0; j < <usize>width; j++) {
      const local = j * stripBytes + at;
      const delta = f32x4.sub(v128.load(weight + j * pitch + at), v128.load(values + local));
      const g = f32x4.add(v128.load(gradient + local), f32x4.mul(factor, delta));
      v128.store(gradient + local, g);
      loss = f32x4.add(loss, f32x4.mul(delta, g));
    }
    addGains(losses + (at << 1), loss);
  }
}

function storeBack(
  weight: usize,
  outputs: usize,
  deltas: usize,
  bytes: usize,
  stride: i32,
  vectors: i32,
): void {
  const pitch = (<usize>stride) << 2;
  for (let j: usize = 0; j < <usize>width; j++) {
    for (let v: usize = 0; v < <usize>vectors; v++) {
      const at = j * pitch + (v << 4);
      const value = v128.load(values + j * stripBytes + (v << 4));
      v128.store(outputs + at, value);
      v128.store(deltas + at, f32x4.sub(v128.load(weight + at), value));
      store<u32>(bytes + (at >> 2), load<u32>(codes + (j << 4) + (v << 2)));
    }
  }
}

/** One pass over columns [from, to), which share a scale. */
function step(from: i32, to: i32, scale: usize, offset: usize, vectors: i32): void {
  for (let column = from; column < to; column++) {
    const diagonal = load<f32>(square + ((<usize>column * (width + 1)) << 2));
    if (!(diagonal > 0)) continue;
    pullGradient(column);
    let any = lane(column, 0, current0, diagonal, scale, offset);
    if (vectors > 1) any = v128.or(any, lane(column, 1, current1, diagonal, scale, offset));
    if (vectors > 2) any = v128.or(any, lane(column, 2, current2, diagonal, scale, offset));
    if (vectors > 3) any = v128.or(any, lane(column, 3, current3, diagonal, scale, offset));
    if (v128.any_true(any)) keepChange(column);
  }
  pushChanges();
}

/** Moves four rows of a column to their best value; returns which of them changed. */
function lane(column: i32, v: i32, g: v128, diagonal: f32, scale: usize, offset: usize): v128 {
  const at = (<usize>v) << 4;
  const own = values + <usize>column * stripBytes + at;
  const s = v128.load(scale + at);
  const o = v128.load(offset + at);
  const old = v128.load(own);
  const row = firstLane + at;
  const target = f32x4.add(old, f32x4.mul(g, f32x4.splat(1 / diagonal)));
  const code = nearestCode(levels, f32x4.mul(f32x4.sub(target, o), reciprocal(s)), row);
  const value = f32x4.add(f32x4.mul(s, levelOf(levels, code, row)), o);
  const move = f32x4.sub(value, old);
  const gain = f32x4.mul(move, f32x4.sub(f32x4.add(g, g), f32x4.mul(move, f32x4.splat(diagonal))));
  const accept = f32x4.gt(gain, f32x4.splat(0));
  const change = nextChange() + at;
  if (!v128.any_true(accept)) {
    v128.store(change, accept);
    return accept;
  }
  const kept = v128.and(move, accept);
  v128.store(change, f32x4.neg(kept));
  v128.store(own, v128.bitselect(value, old, accept));
  storeCodes(codes, column, v, v128.bitselect(code, codesAt(codes, column, v), accept));
  addGains(gains + (at << 1), v128.and(gain, accept));
  addGains(moves + (at << 1), v128.and(f32x4.splat(1), accept));
  return accept;
}
