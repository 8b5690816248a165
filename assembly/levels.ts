// Rounding of four values at once to the levels of a grid. The rule is the same wherever weights get their final
// codes: u = (t − offset) / scale, divided in f32; consecutive integers round half to even; a table takes the
// nearest level, the lower one at a midpoint. Levels are described by a record that src/grid/levels.ts writes:
//   byte 0  i32 kind          byte 4  f32 lowest level     byte 8  f32 highest level     byte 12  i32 count
//   byte 16 f32 × 256 midpoints of neighbouring levels      byte 1040  f32 × 256 levels
// Codebooks have levels of their own for every row, count × stride in ascending order: the record holds their address
// (byte 16) and the bytes of a line (byte 20), and setLane says which rows are being rounded.
import { roundBrain, roundHalf } from './half';

const uniformKind: i32 = 0;
const tableKind: i32 = 1;
const castHalf: i32 = 3;
const castBrain: i32 = 4;
const codebookKind: i32 = 5;
const midpoints: usize = 16;
const values: usize = 1040;
// Up to here comparing with every midpoint is faster than searching lane by lane.
const smallTable: i32 = 32;
const halfMaximum: f32 = 65504;
const brainMaximum: f32 = 3.3895313892515355e38;

/** Do values have codes, or are they numbers of a float type? */
export function hasCodes(levels: usize): bool {
  const kind = load<i32>(levels);
  return kind <= tableKind || kind == codebookKind;
}

/** Four times the first of the four rows that are rounded next; only codebooks want to know. */
let lane: usize = 0;

export function setLane(bytes: usize): void {
  lane = bytes;
}

/** Codes (i32 lanes) of the levels nearest to u; the lowest for NaN, which a scale of zero makes. */
export function nearestCode(levels: usize, u: v128): v128 {
  const low = v128.load32_splat(levels, 4);
  if (load<i32>(levels) == uniformKind) {
    const bounded = f32x4.pmin(v128.load32_splat(levels, 8), f32x4.pmax(low, f32x4.nearest(u)));
    return i32x4.trunc_sat_f32x4_s(f32x4.sub(bounded, low));
  }
  const count = load<i32>(levels, 12);
  if (load<i32>(levels) == codebookKind) return nearestEntry(levels, count, u);
  if (count > smallTable) {
    return i32x4(
      search(levels, count, f32x4.extract_lane(u, 0)),
      search(levels, count, f32x4.extract_lane(u, 1)),
      search(levels, count, f32x4.extract_lane(u, 2)),
      search(levels, count, f32x4.extract_lane(u, 3)),
    );
  }
  let code = i32x4.splat(0);
  const end = levels + midpoints + ((<usize>count - 1) << 2);
  for (let at = levels + midpoints; at < end; at += 4) {
    code = i32x4.sub(code, f32x4.gt(u, v128.load32_splat(at)));
  }
  return code;
}

/** The number of midpoints below u in each row's own codebook. */
function nearestEntry(levels: usize, count: i32, u: v128): v128 {
  const pitch = load<usize>(levels, 20);
  let at = load<usize>(levels, 16) + lane;
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
function search(levels: usize, count: i32, u: f32): i32 {
  let below = 0;
  let above = count - 1;
  while (below < above) {
    const middle = (below + above) >> 1;
    if (u > load<f32>(levels + midpoints + ((<usize>middle) << 2))) below = middle + 1;
    else above = middle;
  }
  return below;
}

/** The levels that codes stand for. */
export function levelOf(levels: usize, code: v128): v128 {
  if (load<i32>(levels) == uniformKind) {
    return f32x4.add(v128.load32_splat(levels, 4), f32x4.convert_i32x4_s(code));
  }
  if (load<i32>(levels) == codebookKind) return entryOf(levels, code);
  const table = levels + values;
  return f32x4(
    load<f32>(table + ((<usize>i32x4.extract_lane(code, 0)) << 2)),
    load<f32>(table + ((<usize>i32x4.extract_lane(code, 1)) << 2)),
    load<f32>(table + ((<usize>i32x4.extract_lane(code, 2)) << 2)),
    load<f32>(table + ((<usize>i32x4.extract_lane(code, 3)) << 2)),
  );
}

function entryOf(levels: usize, code: v128): v128 {
  const pitch = load<i32>(levels, 20);
  const table = load<usize>(levels, 16) + lane;
  const at = i32x4.mul(code, i32x4.splat(pitch));
  return f32x4(
    load<f32>(table + <usize>i32x4.extract_lane(at, 0)),
    load<f32>(table + <usize>i32x4.extract_lane(at, 1), 4),
    load<f32>(table + <usize>i32x4.extract_lane(at, 2), 8),
    load<f32>(table + <usize>i32x4.extract_lane(at, 3), 12),
  );
}

/** The nearest finite numbers of a float type. */
export function nearestFloat(levels: usize, t: v128): v128 {
  const kind = load<i32>(levels);
  if (kind == castHalf) return roundHalf(saturate(t, halfMaximum));
  if (kind == castBrain) return roundBrain(saturate(t, brainMaximum));
  return t;
}

function saturate(t: v128, bound: f32): v128 {
  const limit = f32x4.splat(bound);
  return f32x4.pmin(limit, f32x4.pmax(f32x4.neg(limit), t));
}

/**
 * Rounds t to the nearest value. Float types have no codes; for the others `scale`, `offset` and `code` are
 * addresses, and the codes are stored as bytes. Codebooks want setLane to be called before.
 */
export function nearestValue(
  levels: usize,
  coded: bool,
  t: v128,
  scale: usize,
  offset: usize,
  code: usize,
): v128 {
  if (!coded) return nearestFloat(levels, t);
  const s = v128.load(scale);
  const o = v128.load(offset);
  const nearest = nearestCode(levels, f32x4.div(f32x4.sub(t, o), s));
  const words = i16x8.narrow_i32x4_u(nearest, nearest);
  v128.store_lane<u32>(code, i8x16.narrow_i16x8_u(words, words), 0);
  return f32x4.add(f32x4.mul(s, levelOf(levels, nearest)), o);
}
