// The inner loops of the solvers (src/solver). Panels are column-major over rows; a strip of sixteen rows, one
// cache line of every column, is solved at a time from a compact copy.
import { hasCodes, nearestValue, setLane } from './levels';

const stripVectors: i32 = 4;
const stripBytes: usize = 64;
// Columns whose corrections are applied one by one; farther ones get them 32 at a time.
const stepColumns: i32 = 32;

/**
 * GPTQ inside one block of `width` positions: rounds positions [from, to) in descending order for rows
 * [start, end), with t = w + (Σ over later positions k of Δₖ·L[k, j]) / L[j, j], and leaves in `sums` what they
 * add to positions [0, from).
 * @param weight panel; `order` holds the columns that the block's positions stand for
 * @param groupSize columns per scale
 * @param levels record of assembly/levels.ts
 * @param upper Lᵀ of the block, width × width: element (j, k) = L[k, j]
 * @param sums width × stride: Σ Δₖ·L[k, j] over all positions k after the ones to be rounded
 * @param delta width × stride, written: w − ŵ
 * @param codes cols × stride bytes (unused by float types); `values` cols × stride floats
 * @param losses stride doubles: Σ L[j, j]² (t − ŵ)² is added; `norms` likewise Σ Δ²
 * @param scratch 2 · width · stride floats (stride rounded up to 16)
 */
export function sweepBlock(
  start: i32,
  end: i32,
  weight: usize,
  stride: i32,
  order: usize,
  groupSize: i32,
  scale: usize,
  offset: usize,
  levels: usize,
  upper: usize,
  width: i32,
  from: i32,
  to: i32,
  sums: usize,
  delta: usize,
  codes: usize,
  values: usize,
  losses: usize,
  norms: usize,
  scratch: usize,
): void {
  const pitch = (<usize>stride) << 2;
  const own = scratch + ((<usize>start * width) << 3);
  const localDelta = own + <usize>width * stripBytes;
  const coded = hasCodes(levels);
  for (let row = start; row < end; row += 4 * stripVectors) {
    const vectors = min(stripVectors, (end - row) >> 2);
    const lane = (<usize>row) << 2;
    copyStrip(own, stripBytes, sums + lane, pitch, to, vectors);
    for (let high = to; high > from; ) {
      const low = max(from, high - stepColumns);
      for (let j = high - 1; j >= low; j--) {
        const diagonal = load<f32>(upper + ((<usize>j * (width + 1)) << 2));
        addDeltas(own, localDelta, upper, width, j, high);
        const column = load<i32>(order + ((<usize>j) << 2));
        const group = <usize>(column / groupSize) * pitch + lane;
        const target = <usize>column * pitch + lane;
        const inverse = f32x4.splat(1 / diagonal);
        const loss = f32x4.splat(diagonal);
        for (let v = 0; v < vectors; v++) {
          const at = (<usize>v) << 4;
          const local = <usize>j * stripBytes + at;
          const w = v128.load(weight + target + at);
          const t = f32x4.add(w, f32x4.mul(v128.load(own + local), inverse));
          const parameters = group + at;
          const code = codes + ((target + at) >> 2);
          setLane(lane + at);
          const value = nearestValue(levels, coded, t, scale + parameters, offset + parameters, code);
          v128.store(values + target + at, value);
          const difference = f32x4.sub(w, value);
          v128.store(localDelta + local, difference);
          v128.store(delta + <usize>j * pitch + lane + at, difference);
          const error = f32x4.mul(loss, f32x4.sub(t, value));
          addSquares(losses + ((lane + at) << 1), error);
          addSquares(norms + ((lane + at) << 1), difference);
        }
      }
      pushDeltas(own, localDelta, upper, width, 0, low, high);
      high = low;
    }
    copyStrip(sums + lane, pitch, own, stripBytes, from, vectors);
  }
}

function copyStrip(
  to: usize,
  toPitch: usize,
  from: usize,
  fromPitch: usize,
  columns: i32,
  vectors: i32,
): void {
  for (let j: usize = 0; j < <usize>columns; j++) {
    for (let v = 0; v < vectors; v++) {
      v128.store(to + j * toPitch + ((<usize>v) << 4), v128.load(from + j * fromPitch + ((<usize>v) << 4)));
    }
  }
}

/** sums[j] += Σ delta[k] · L[k, j] for k in (j, high). */
function addDeltas(sums: usize, delta: usize, upper: usize, width: i32, j: i32, high: i32): void {
  const own = sums + <usize>j * stripBytes;
  let s0 = v128.load(own);
  let s1 = v128.load(own, 16);
  let s2 = v128.load(own, 32);
  let s3 = v128.load(own, 48);
  let u = upper + ((<usize>j * width + j + 1) << 2);
  const end = delta + <usize>high * stripBytes;
  for (let d = delta + (<usize>j + 1) * stripBytes; d < end; d += stripBytes) {
    const factor = v128.load32_splat(u);
    s0 = f32x4.add(s0, f32x4.mul(factor, v128.load(d)));
    s1 = f32x4.add(s1, f32x4.mul(factor, v128.load(d, 16)));
    s2 = f32x4.add(s2, f32x4.mul(factor, v128.load(d, 32)));
    s3 = f32x4.add(s3, f32x4.mul(factor, v128.load(d, 48)));
    u += 4;
  }
  v128.store(own, s0);
  v128.store(own, s1, 16);
  v128.store(own, s2, 32);
  v128.store(own, s3, 48);
}

/** sums[j] += Σ delta[k] · L[k, j] for k in [low, high), for j in [from, low): two columns at a time. */
function pushDeltas(
  sums: usize,
  delta: usize,
  upper: usize,
  width: i32,
  from: i32,
  low: i32,
  high: i32,
): void {
  const rowPitch = (<usize>width) << 2;
  const first = delta + <usize>low * stripBytes;
  const end = delta + <usize>high * stripBytes;
  let j = from;
  for (; j + 2 <= low; j += 2) {
    const a = sums + <usize>j * stripBytes;
    let a0 = v128.load(a);
    let a1 = v128.load(a, 16);
    let a2 = v128.load(a, 32);
    let a3 = v128.load(a, 48);
    let b0 = v128.load(a, 64);
    let b1 = v128.load(a, 80);
    let b2 = v128.load(a, 96);
    let b3 = v128.load(a, 112);
    let u = upper + <usize>j * rowPitch + ((<usize>low) << 2);
    for (let d = first; d < end; d += stripBytes) {
      const ua = v128.load32_splat(u);
      const ub = v128.load32_splat(u + rowPitch);
      const d0 = v128.load(d);
      a0 = f32x4.add(a0, f32x4.mul(ua, d0));
      b0 = f32x4.add(b0, f32x4.mul(ub, d0));
      const d1 = v128.load(d, 16);
      a1 = f32x4.add(a1, f32x4.mul(ua, d1));
      b1 = f32x4.add(b1, f32x4.mul(ub, d1));
      const d2 = v128.load(d, 32);
      a2 = f32x4.add(a2, f32x4.mul(ua, d2));
      b2 = f32x4.add(b2, f32x4.mul(ub, d2));
      const d3 = v128.load(d, 48);
      a3 = f32x4.add(a3, f32x4.mul(ua, d3));
      b3 = f32x4.add(b3, f32x4.mul(ub, d3));
      u += 4;
    }
    v128.store(a, a0);
    v128.store(a, a1, 16);
    v128.store(a, a2, 32);
    v128.store(a, a3, 48);
    v128.store(a, b0, 64);
    v128.store(a, b1, 80);
    v128.store(a, b2, 96);
    v128.store(a, b3, 112);
  }
  if (j < low) addRange(sums, delta, upper, width, j, low, high);
}

/** sums[j] += Σ delta[k] · L[k, j] for k in [low, high). */
function addRange(sums: usize, delta: usize, upper: usize, width: i32, j: i32, low: i32, high: i32): void {
  const own = sums + <usize>j * stripBytes;
  for (let at: usize = 0; at < stripBytes; at += 16) {
    let sum = v128.load(own + at);
    for (let k = low; k < high; k++) {
      const factor = v128.load32_splat(upper + ((<usize>j * width + k) << 2));
      sum = f32x4.add(sum, f32x4.mul(factor, v128.load(delta + <usize>k * stripBytes + at)));
    }
    v128.store(own + at, sum);
  }
}

/** Adds the squares of four floats to four doubles. */
function addSquares(into: usize, x: v128): void {
  const low = f64x2.promote_low_f32x4(x);
  const high = f64x2.promote_low_f32x4(
    i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15),
  );
  v128.store(into, f64x2.add(v128.load(into), f64x2.mul(low, low)));
  v128.store(into, f64x2.add(v128.load(into, 16), f64x2.mul(high, high)), 16);
}

/**
 * Where the errors made so far would take positions [from, to) of a block if nothing more were rounded: as in
 * sweepBlock with ŵ = t. They stand for columns `base` … in any order; `target`, (to − from) × stride, receives
 * them in the order of columns. The other arguments are as for sweepBlock.
 */
export function currentTarget(
  start: i32,
  end: i32,
  weight: usize,
  stride: i32,
  order: usize,
  upper: usize,
  width: i32,
  from: i32,
  to: i32,
  base: i32,
  sums: usize,
  target: usize,
  scratch: usize,
): void {
  const pitch = (<usize>stride) << 2;
  const own = scratch + ((<usize>start * width) << 3);
  const localDelta = own + <usize>width * stripBytes;
  const skip = <usize>from * stripBytes;
  for (let row = start; row < end; row += 4 * stripVectors) {
    const vectors = min(stripVectors, (end - row) >> 2);
    const lane = (<usize>row) << 2;
    copyStrip(own + skip, stripBytes, sums + <usize>from * pitch + lane, pitch, to - from, vectors);
    for (let high = to; high > from; ) {
      const low = max(from, high - stepColumns);
      for (let j = high - 1; j >= low; j--) {
        addDeltas(own, localDelta, upper, width, j, high);
        const column = load<i32>(order + ((<usize>j) << 2));
        const w = weight + <usize>column * pitch + lane;
        const t = target + <usize>(column - base) * pitch + lane;
        const inverse = f32x4.splat(1 / load<f32>(upper + ((<usize>j * (width + 1)) << 2)));
        for (let at: usize = 0; at < (<usize>vectors) << 4; at += 16) {
          const local = <usize>j * stripBytes + at;
          const shift = f32x4.mul(v128.load(own + local), inverse);
          v128.store(t + at, f32x4.add(v128.load(w + at), shift));
          v128.store(localDelta + local, f32x4.neg(shift));
        }
      }
      pushDeltas(own, localDelta, upper, width, from, low, high);
      high = low;
    }
  }
}

/** difference = x − y for rows [start, end) of `cols` columns. */
export function subtractPanels(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  x: usize,
  y: usize,
  difference: usize,
): void {
  const pitch = (<usize>stride) << 2;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let at = col * pitch + ((<usize>start) << 2); at < col * pitch + ((<usize>end) << 2); at += 16) {
      v128.store(difference + at, f32x4.sub(v128.load(x + at), v128.load(y + at)));
    }
  }
}

/** now = old in the rows of [start, end) where `lost` (bytes) is not zero; panels of `lines` lines, `size` bytes each. */
export function restoreRows(
  start: i32,
  end: i32,
  lines: i32,
  stride: i32,
  size: i32,
  lost: usize,
  old: usize,
  now: usize,
): void {
  for (let line = 0; line < lines; line++) {
    for (let row = start; row < end; row++) {
      if (!load<u8>(lost + <usize>row)) continue;
      const at = (<usize>line * stride + row) * <usize>size;
      memory.copy(now + at, old + at, <usize>size);
    }
  }
}

/** sums[row] += Σ over columns of x · y, in double precision, for rows [start, end) of `cols` columns. */
export function addRowProducts(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  x: usize,
  y: usize,
  sums: usize,
): void {
  const pitch = (<usize>stride) << 2;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let row: usize = start; row < <usize>end; row += 2) {
      const at = col * pitch + (row << 2);
      const into = sums + (row << 3);
      const product = f64x2.mul(
        f64x2.promote_low_f32x4(v128.load64_zero(x + at)),
        f64x2.promote_low_f32x4(v128.load64_zero(y + at)),
      );
      v128.store(into, f64x2.add(v128.load(into), product));
    }
  }
}
