import { F32Array, Optional, U8Array } from '../arrays';
import { FitLevels } from './sums';
import {
  curvature11,
  curvature12,
  curvature22,
  fitGroups,
  idealOffset,
  idealScale,
  offsetCode,
  polish,
  project,
  scaleCode,
  setSuperBlock,
  superOffset,
  superScale,
} from './super';

@unmanaged
export class FitTwoLevel {
  weight: F32Array;
  stride: i32;
  cols: i32;
  /** `cols` vectors made by spreadImportance. */
  importance: F32Array;
  levels: FitLevels;
  groupSize: i32;
  blockSize: i32;
  /** The integers a scale may be; `offsetLevels` likewise, where there are offsets. */
  scaleLevels: FitLevels;
  offsetLevels: Optional<FitLevels>;
  /** blocks × stride; `scaleCode` is groups × stride; those of offsets likewise. */
  superScale: F32Array;
  superOffset: Optional<F32Array>;
  scaleCode: U8Array;
  offsetCode: Optional<U8Array>;
  /** 512 bytes per row, at least for 16 rows. */
  scratch: U8Array;
}

/** Fits super-block scales (and offsets) in halves and integer ones per group, for rows [start, end). */
export function fitTwoLevel(start: i32, end: i32, record: FitTwoLevel): void {
  const weight = record.weight;
  const stride = record.stride;
  const cols = record.cols;
  const importance = record.importance;
  const levels = record.levels;
  const groupSize = record.groupSize;
  const blockSize = record.blockSize;
  const scaleLevels = record.scaleLevels;
  const offsetLevels = record.offsetLevels;
  const superScales = record.superScale;
  const superOffsets = record.superOffset;
  const scaleCodes = record.scaleCode;
  const offsetCodes = record.offsetCode;
  const scratch = record.scratch;
  const column = (<usize>stride) << 2;
  const work = scratch + ((<usize>start) << 9);
  const groups = blockSize / groupSize;
  setSuperBlock(work, groups, scaleLevels, offsetLevels);
  for (let block = 0; block < cols / blockSize; block++) {
    const w = importance + ((<usize>(block * blockSize)) << 4);
    for (let row = start; row < end; row += 4) {
      const lane = (<usize>row) << 2;
      gather(work, weight + <usize>(block * blockSize) * column + lane, column, blockSize);
      fitGroups(levels, w, groupSize);
      project();
      polish();
      v128.store(superScales + <usize>block * column + lane, superScale);
      storeCodes(scaleCodes, block * groups, groups, stride, row, work + scaleCode);
      if (!offsetLevels) continue;
      v128.store(superOffsets + <usize>block * column + lane, superOffset);
      storeCodes(offsetCodes, block * groups, groups, stride, row, work + offsetCode);
    }
  }
}

@unmanaged
export class ProjectTwoLevel {
  /** Five arrays of groups × stride floats, one after the other: scale, offset, C₁₁, C₁₂, C₂₂. */
  ideal: F32Array;
  stride: i32;
  groups: i32;
  groupsPerBlock: i32;
  scaleLevels: FitLevels;
  offsetLevels: Optional<FitLevels>;
  superScale: F32Array;
  superOffset: Optional<F32Array>;
  scaleCode: U8Array;
  offsetCode: Optional<U8Array>;
  scratch: U8Array;
}

/**
 * The storable parameters nearest to ideal ones, for `groups` groups and rows [start, end): minimises per
 * super-block Σ over its groups of δᵀ C δ, δ the change of (scale, offset) and C the 2 × 2 curvature of the group.
 */
export function projectTwoLevel(start: i32, end: i32, record: ProjectTwoLevel): void {
  const ideal = record.ideal;
  const stride = record.stride;
  const groups = record.groups;
  const groupsPerBlock = record.groupsPerBlock;
  const scaleLevels = record.scaleLevels;
  const offsetLevels = record.offsetLevels;
  const superScales = record.superScale;
  const superOffsets = record.superOffset;
  const scaleCodes = record.scaleCode;
  const offsetCodes = record.offsetCode;
  const scratch = record.scratch;
  const line = (<usize>stride) << 2;
  const plane = line * <usize>groups;
  const work = scratch + ((<usize>start) << 9);
  setSuperBlock(work, groupsPerBlock, scaleLevels, offsetLevels);
  for (let block = 0; block < groups / groupsPerBlock; block++) {
    const first = block * groupsPerBlock;
    for (let row = start; row < end; row += 4) {
      const lane = (<usize>row) << 2;
      const from = ideal + <usize>first * line + lane;
      gather(work + idealScale, from, line, groupsPerBlock);
      gather(work + idealOffset, from + plane, line, groupsPerBlock);
      gather(work + curvature11, from + 2 * plane, line, groupsPerBlock);
      gather(work + curvature12, from + 3 * plane, line, groupsPerBlock);
      gather(work + curvature22, from + 4 * plane, line, groupsPerBlock);
      project();
      v128.store(superScales + <usize>block * line + lane, superScale);
      storeCodes(scaleCodes, first, groupsPerBlock, stride, row, work + scaleCode);
      if (!offsetLevels) continue;
      v128.store(superOffsets + <usize>block * line + lane, superOffset);
      storeCodes(offsetCodes, first, groupsPerBlock, stride, row, work + offsetCode);
    }
  }
}

/** Copies `count` vectors that lie `step` bytes apart. */
function gather(to: usize, from: usize, step: usize, count: i32): void {
  for (let i = 0; i < count; i++) v128.store(to + ((<usize>i) << 4), v128.load(from + <usize>i * step));
}

/**
 * Stores vectors of whole numbers as bytes, negative ones as two's complement, one line of four rows per group.
 */
function storeCodes(into: usize, first: i32, groups: i32, stride: i32, row: i32, codes: usize): void {
  const lowest = i8x16(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  for (let g = 0; g < groups; g++) {
    const integers = i32x4.trunc_sat_f32x4_s(v128.load(codes + ((<usize>g) << 4)));
    const to = into + <usize>(first + g) * <usize>stride + <usize>row;
    v128.store32_lane(to, i8x16.swizzle(integers, lowest), 0);
  }
}
