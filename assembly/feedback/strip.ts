// A strip of sixteen rows, one cache line of every column, is solved at a time from a compact copy.

export const stripVectors: i32 = 4;
export const stripBytes: usize = 64;

// Columns whose corrections are applied one by one; farther ones get them 32 at a time.
export const stepColumns: i32 = 32;

export function copyStrip(
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
export function addDeltas(sums: usize, delta: usize, upper: usize, width: i32, j: i32, high: i32): void {
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
export function pushDeltas(
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
