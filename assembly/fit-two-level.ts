import { Levels } from './fit-sums';
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
} from './fit-super';

/**
 * Fits super-block scales (and offsets) in halves and integer ones per group, for rows [start, end).
 * @param importance `cols` vectors made by spreadImportance
 * @param scaleLevels the integers a scale may be; `offsetLevels` likewise, 0 without offsets
 * @param superScales blocks × stride floats; `scaleCodes` groups × stride bytes; those of offsets likewise
 * @param scratch 512 bytes per row, at least for 16 rows
 */
export function fitTwoLevel(
  start: i32,
  end: i32,
  weight: usize,
  stride: i32,
  cols: i32,
  importance: usize,
  levels: usize,
  groupSize: i32,
  blockSize: i32,
  scaleLevels: usize,
  offsetLevels: usize,
  superScales: usize,
  superOffsets: usize,
  scaleCodes: usize,
  offsetCodes: usize,
  scratch: usize,
): void {
  const column = (<usize>stride) << 2;
  const work = scratch + ((<usize>start) << 9);
  const groups = blockSize / groupSize;
  setSuperBlock(work, groups, changetype<Levels>(scaleLevels), changetype<Levels>(offsetLevels));
  for (let block = 0; block < cols / blockSize; block++) {
    const w = importance + ((<usize>(block * blockSize)) << 4);
    for (let row = start; row < end; row += 4) {
      const lane = (<usize>row) << 2;
      gather(work, weight + <usize>(block * blockSize) * column + lane, column, blockSize);
      fitGroups(changetype<Levels>(levels), w, groupSize);
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

/**
 * The storable parameters nearest to ideal ones, for `groups` groups and rows [start, end): minimises per
 * super-block Σ over its groups of δᵀ C δ, δ the change of (scale, offset) and C the 2 × 2 curvature of the group.
 * @param ideal five arrays of groups × stride floats, one after the other: scale, offset, C₁₁, C₁₂, C₂₂
 */
export function projectTwoLevel(
  start: i32,
  end: i32,
  ideal: usize,
  stride: i32,
  groups: i32,
  groupsPerBlock: i32,
  scaleLevels: usize,
  offsetLevels: usize,
  superScales: usize,
  superOffsets: usize,
  scaleCodes: usize,
  offsetCodes: usize,
  scratch: usize,
): void {
  const line = (<usize>stride) << 2;
  const plane = line * <usize>groups;
  const work = scratch + ((<usize>start) << 9);
  setSuperBlock(work, groupsPerBlock, changetype<Levels>(scaleLevels), changetype<Levels>(offsetLevels));
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

/** Stores vectors of whole numbers as bytes, negative ones as two's complement, one line of four rows per group. */
function storeCodes(into: usize, first: i32, groups: i32, stride: i32, row: i32, codes: usize): void {
  const lowest = i8x16(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  for (let g = 0; g < groups; g++) {
    const integers = i32x4.trunc_sat_f32x4_s(v128.load(codes + ((<usize>g) << 4)));
    const to = into + <usize>(first + g) * <usize>stride + <usize>row;
    v128.store32_lane(to, i8x16.swizzle(integers, lowest), 0);
  }
}
