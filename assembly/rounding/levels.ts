// Rounding of four values at once to the levels of a grid. The rule is the same wherever weights get their final
// codes: u = (t − offset) / scale, divided in f32; consecutive integers round half to even; a table takes the
// nearest level, the lower one at a midpoint.
import { F32Array, Optional } from '../arrays';
import { roundBrain, roundHalf } from '../numbers/half';

/** The levels of a grid (src/grid/levels.ts). */
@unmanaged
export class GridLevels {
  /** 0: consecutive integers, 1: a table, 2 … 4: all numbers of f32, f16, bf16, 5: a codebook for every row. */
  kind: i32;
  /** Of consecutive integers. */
  low: f32;
  high: f32;
  /** Of a table or codebook: how many levels. */
  count: i32;
  /** Ascending levels of a table; of codebooks count × stride. */
  values: Optional<F32Array>;
  /** Of neighbouring levels of a table. */
  midpoints: Optional<F32Array>;
  /** Bytes of a line of codebooks. */
  pitch: i32;
}

const uniformKind: i32 = 0;
const tableKind: i32 = 1;
const castHalf: i32 = 3;
const castBrain: i32 = 4;
const codebookKind: i32 = 5;

// Up to here comparing with every midpoint is faster than searching lane by lane.
const smallTable: i32 = 32;
const halfMaximum: f32 = 65504;
const brainMaximum: f32 = 3.3895313892515355e38;

/** Do values have codes, or are they numbers of a float type? */
export function hasCodes(levels: GridLevels): bool {
  const kind = levels.kind;
  return kind <= tableKind || kind == codebookKind;
}

/**
 * Codes (i32 lanes) of the levels nearest to u; the lowest for NaN, which a scale of zero makes.
 * @param lane four times the first of the four rows, which have codebooks of their own
 */
export function nearestCode(levels: GridLevels, u: v128, lane: usize): v128 {
  const low = f32x4.splat(levels.low);
  if (levels.kind == uniformKind) {
    const bounded = f32x4.pmin(f32x4.splat(levels.high), f32x4.pmax(low, f32x4.nearest(u)));
    return i32x4.trunc_sat_f32x4_s(f32x4.sub(bounded, low));
  }
  const count = levels.count;
  if (levels.kind == codebookKind) return nearestEntry(levels, count, u, lane);
  const table = levels.midpoints;
  if (count > smallTable) {
    return i32x4(
      search(table, count, f32x4.extract_lane(u, 0)),
      search(table, count, f32x4.extract_lane(u, 1)),
      search(table, count, f32x4.extract_lane(u, 2)),
      search(table, count, f32x4.extract_lane(u, 3)),
    );
  }
  let code = i32x4.splat(0);
  const end = table + ((<usize>count - 1) << 2);
  for (let at = table; at < end; at += 4) {
    code = i32x4.sub(code, f32x4.gt(u, v128.load32_splat(at)));
  }
  return code;
}

/** The number of midpoints below u in each row's own codebook. */
function nearestEntry(levels: GridLevels, count: i32, u: v128, lane: usize): v128 {
  const pitch = <usize>levels.pitch;
  let at = levels.values + lane;
  let below = v128.load(at);
  let code = i32x4.splat(0);
  for (let i = 1; i < count; i++) {
    at += pitch;
    const above = v128.load(at);
    const midpoint = f32x4.mul(f32x4.splat(0.5), f32x4.add(below, above));
    code = i32x4.sub(code, f32x4.gt(u, midpoint));
    below = above;
  }
  return code;
}

/** The number of midpoints below u, by bisection. */
function search(midpoints: usize, count: i32, u: f32): i32 {
  let below = 0;
  let above = count - 1;
  while (below < above) {
    const middle = (below + above) >> 1;
    if (u > load<f32>(midpoints + ((<usize>middle) << 2))) below = middle + 1;
    else above = middle;
  }
  return below;
}

/** The levels that codes stand for; `lane` as for nearestCode. */
export function levelOf(levels: GridLevels, code: v128, lane: usize): v128 {
  if (levels.kind == uniformKind) {
    return f32x4.add(f32x4.splat(levels.low), f32x4.convert_i32x4_s(code));
  }
  if (levels.kind == codebookKind) return entryOf(levels, code, lane);
  const table = levels.values;
  return f32x4(
    load<f32>(table + ((<usize>i32x4.extract_lane(code, 0)) << 2)),
    load<f32>(table + ((<usize>i32x4.extract_lane(code, 1)) << 2)),
    load<f32>(table + ((<usize>i32x4.extract_lane(code, 2)) << 2)),
    load<f32>(table + ((<usize>i32x4.extract_lane(code, 3)) << 2)),
  );
}

function entryOf(levels: GridLevels, code: v128, lane: usize): v128 {
  const pitch = levels.pitch;
  const table = levels.values + lane;
  const at = i32x4.mul(code, i32x4.splat(pitch));
  return f32x4(
    load<f32>(table + <usize>i32x4.extract_lane(at, 0)),
    load<f32>(table + <usize>i32x4.extract_lane(at, 1), 4),
    load<f32>(table + <usize>i32x4.extract_lane(at, 2), 8),
    load<f32>(table + <usize>i32x4.extract_lane(at, 3), 12),
  );
}

/** The nearest finite numbers of a float type. */
function nearestFloat(levels: GridLevels, t: v128): v128 {
  const kind = levels.kind;
  if (kind == castHalf) return roundHalf(saturate(t, halfMaximum));
  if (kind == castBrain) return roundBrain(saturate(t, brainMaximum));
  return t;
}

function saturate(t: v128, bound: f32): v128 {
  const limit = f32x4.splat(bound);
  return f32x4.pmin(limit, f32x4.pmax(f32x4.neg(limit), t));
}

/**
 * Rounds t to the nearest value. `scale` and `offset` are addresses, and `code` where the codes go as bytes; 0 for float
 * types, which have neither.
 * @param lane as for nearestCode
 */
export function nearestValue(
  levels: GridLevels,
  lane: usize,
  t: v128,
  scale: usize,
  offset: usize,
  code: usize,
): v128 {
  if (!code) return nearestFloat(levels, t);
  const s = v128.load(scale);
  const o = v128.load(offset);
  const nearest = nearestCode(levels, f32x4.div(f32x4.sub(t, o), s), lane);
  const words = i16x8.narrow_i32x4_u(nearest, nearest);
  v128.store_lane<u32>(code, i8x16.narrow_i16x8_u(words, words), 0);
  return f32x4.add(f32x4.mul(s, levelOf(levels, nearest, lane)), o);
}
