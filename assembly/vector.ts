// Vector codebooks (src/grid/vector.ts, src/solver/vptq.ts): the nearest codeword of every row for `d` columns
// at a time, sums over the vectors of each codeword, and decoding. Lanes are rows; a strip is eight rows.
// A codebook is k × d, row-major; codes are u16, one row of `stride` per vector.

const stripRows: i32 = 8;
const stripBytes: usize = 32;
/** Codewords that are compared side by side; codebooks are multiples of it. */
const tileCodes: usize = 4;

/**
 * A codebook as `sweepVector` searches it: c′ = c·F, in tiles of four codewords: d rows of four coordinates, then
 * four times ½|c′|².
 * @param factor F, d × d
 */
export function tileCodebook(codebook: usize, size: i32, d: i32, factor: usize, tiles: usize): void {
  const tileBytes = (<usize>(d + 1) * tileCodes) << 2;
  for (let code: usize = 0; code < <usize>size; code++) {
    const from = codebook + ((code * d) << 2);
    const to = tiles + (code / tileCodes) * tileBytes + ((code % tileCodes) << 2);
    let norm: f32 = 0;
    for (let i = 0; i < d; i++) {
      let sum: f32 = 0;
      for (let p = 0; p < d; p++) {
        sum += load<f32>(from + ((<usize>p) << 2)) * load<f32>(factor + ((<usize>(p * d + i)) << 2));
      }
      store<f32>(to + ((<usize>i * tileCodes) << 2), sum);
      norm += sum * sum;
    }
    store<f32>(to + ((<usize>d * tileCodes) << 2), norm / 2);
  }
}

/**
 * One step of error feedback or of coordinate descent for d columns of rows [start, end). With the error so far
 * seen through `sums`, t = base + sums·A; the codeword c that minimises |(t / scale − c)·F| is taken, and the
 * difference b = base − scale · c is added to `deltas` and, times `coupling`, to columns [0, to) of `sums`.
 * @param columns the d columns (i32) of `base`
 * @param base panel, or 0: nothing; with `kept`, the base is what the codes stand for now
 * @param sums width × stride; `deltas` likewise; the d columns start at column `at` of both
 * @param shift A, d × d
 * @param factor F, d × d; `tiles` is the codebook made for it by tileCodebook
 * @param coupling d rows of `pitch` floats
 * @param scale one per row, not zero
 * @param codes of this vector: stride
 * @param scratch 2 · d · stride floats (stride rounded up to 8)
 */
export function sweepVector(
  start: i32,
  end: i32,
  stride: i32,
  d: i32,
  columns: usize,
  base: usize,
  kept: i32,
  sums: usize,
  deltas: usize,
  at: i32,
  to: i32,
  shift: usize,
  factor: usize,
  coupling: usize,
  pitch: i32,
  scale: usize,
  codebook: usize,
  tiles: usize,
  size: i32,
  codes: usize,
  scratch: usize,
): void {
  const column = (<usize>stride) << 2;
  const own = <usize>at * column;
  for (let row = start; row < end; row += stripRows) {
    const vectors = min(stripRows, end - row) >> 2;
    const bases = scratch + ((<usize>row * d) << 3);
    const targets = bases + <usize>d * stripBytes;
    for (let v: usize = 0; v < <usize>vectors; v++) {
      const lane = ((<usize>row) << 2) + (v << 4);
      const r = v128.load(scale + lane);
      const inverse = f32x4.div(f32x4.splat(1), r);
      for (let i: usize = 0; i < <usize>d; i++) {
        let b = f32x4.splat(0);
        if (kept) b = f32x4.mul(r, gather(codebook, d, i, codes + (lane >> 1)));
        else if (base) b = v128.load(base + <usize>load<i32>(columns + (i << 2)) * column + lane);
        v128.store(bases + i * stripBytes + (v << 4), b);
      }
      for (let i: usize = 0; i < <usize>d; i++) {
        // F comes after A: u = (base + sums·A)·F / scale.
        v128.store(targets + i * stripBytes + (v << 4), f32x4.splat(0));
      }
      for (let p: usize = 0; p < <usize>d; p++) {
        let t = v128.load(bases + p * stripBytes + (v << 4));
        for (let q: usize = 0; q < <usize>d; q++) {
          const a = v128.load32_splat(shift + ((q * d + p) << 2));
          t = f32x4.add(t, f32x4.mul(a, v128.load(sums + own + q * column + lane)));
        }
        t = f32x4.mul(t, inverse);
        for (let i: usize = 0; i < <usize>d; i++) {
          const into = targets + i * stripBytes + (v << 4);
          const f = v128.load32_splat(factor + ((p * d + i) << 2));
          v128.store(into, f32x4.add(v128.load(into), f32x4.mul(t, f)));
        }
      }
    }
    search(targets, d, tiles, size);
    for (let v: usize = 0; v < <usize>vectors; v++) {
      const lane = ((<usize>row) << 2) + (v << 4);
      const found = v128.load(targets + (v << 4));
      v128.store_lane<u64>(codes + (lane >> 1), i16x8.narrow_i32x4_u(found, found), 0);
      const r = v128.load(scale + lane);
      for (let i: usize = 0; i < <usize>d; i++) {
        const local = bases + i * stripBytes + (v << 4);
        const value = f32x4.mul(r, gather(codebook, d, i, codes + (lane >> 1)));
        const difference = f32x4.sub(v128.load(local), value);
        v128.store(local, difference);
        const delta = deltas + own + i * column + lane;
        v128.store(delta, f32x4.add(v128.load(delta), difference));
      }
      addCoupled(bases + (v << 4), d, coupling, pitch, sums + lane, column, to);
    }
  }
}

/** sums[j] += Σ difference[i] · coupling[i, j] for j in [0, to), four rows. */
function addCoupled(
  differences: usize,
  d: i32,
  coupling: usize,
  pitch: i32,
  sums: usize,
  column: usize,
  to: i32,
): void {
  const row = (<usize>pitch) << 2;
  for (let j: usize = 0; j < <usize>to; j++) {
    let sum = v128.load(sums + j * column);
    let factor = coupling + (j << 2);
    for (let i: usize = 0; i < <usize>d; i++, factor += row) {
      sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(factor), v128.load(differences + i * stripBytes)));
    }
    v128.store(sums + j * column, sum);
  }
}

/** Coordinate i of the codewords of four rows. */
function gather(codebook: usize, d: i32, i: usize, codes: usize): v128 {
  const coordinate = codebook + (i << 2);
  return f32x4(
    load<f32>(coordinate + ((<usize>load<u16>(codes) * d) << 2)),
    load<f32>(coordinate + ((<usize>load<u16>(codes, 2) * d) << 2)),
    load<f32>(coordinate + ((<usize>load<u16>(codes, 4) * d) << 2)),
    load<f32>(coordinate + ((<usize>load<u16>(codes, 6) * d) << 2)),
  );
}

/**
 * The codeword with the largest u·c′ − ½|c′|² for eight rows; the first of equals. Replaces the first 32 bytes of
 * `targets` (d × 8 rows) by the codes (i32).
 */
function search(targets: usize, d: i32, tiles: usize, size: i32): void {
  let best0 = f32x4.splat(-Infinity);
  let best1 = best0;
  let code0 = i32x4.splat(0);
  let code1 = code0;
  const end = targets + <usize>d * stripBytes;
  for (let code = 0; code < size; code += <i32>tileCodes) {
    let a0 = f32x4.splat(0);
    let a1 = a0;
    let b0 = a0;
    let b1 = a0;
    let c0 = a0;
    let c1 = a0;
    let d0 = a0;
    let d1 = a0;
    for (let u = targets; u < end; u += stripBytes) {
      const u0 = v128.load(u);
      const u1 = v128.load(u, 16);
      const a = v128.load32_splat(tiles);
      a0 = f32x4.add(a0, f32x4.mul(a, u0));
      a1 = f32x4.add(a1, f32x4.mul(a, u1));
      const b = v128.load32_splat(tiles, 4);
      b0 = f32x4.add(b0, f32x4.mul(b, u0));
      b1 = f32x4.add(b1, f32x4.mul(b, u1));
      const c = v128.load32_splat(tiles, 8);
      c0 = f32x4.add(c0, f32x4.mul(c, u0));
      c1 = f32x4.add(c1, f32x4.mul(c, u1));
      const e = v128.load32_splat(tiles, 12);
      d0 = f32x4.add(d0, f32x4.mul(e, u0));
      d1 = f32x4.add(d1, f32x4.mul(e, u1));
      tiles += 16;
    }
    const na = v128.load32_splat(tiles);
    const nb = v128.load32_splat(tiles, 4);
    const nc = v128.load32_splat(tiles, 8);
    const nd = v128.load32_splat(tiles, 12);
    tiles += 16;
    let index = i32x4.splat(code);
    a0 = f32x4.sub(a0, na);
    a1 = f32x4.sub(a1, na);
    code0 = v128.bitselect(index, code0, f32x4.gt(a0, best0));
    best0 = f32x4.pmax(best0, a0);
    code1 = v128.bitselect(index, code1, f32x4.gt(a1, best1));
    best1 = f32x4.pmax(best1, a1);
    index = i32x4.splat(code + 1);
    b0 = f32x4.sub(b0, nb);
    b1 = f32x4.sub(b1, nb);
    code0 = v128.bitselect(index, code0, f32x4.gt(b0, best0));
    best0 = f32x4.pmax(best0, b0);
    code1 = v128.bitselect(index, code1, f32x4.gt(b1, best1));
    best1 = f32x4.pmax(best1, b1);
    index = i32x4.splat(code + 2);
    c0 = f32x4.sub(c0, nc);
    c1 = f32x4.sub(c1, nc);
    code0 = v128.bitselect(index, code0, f32x4.gt(c0, best0));
    best0 = f32x4.pmax(best0, c0);
    code1 = v128.bitselect(index, code1, f32x4.gt(c1, best1));
    best1 = f32x4.pmax(best1, c1);
    index = i32x4.splat(code + 3);
    d0 = f32x4.sub(d0, nd);
    d1 = f32x4.sub(d1, nd);
    code0 = v128.bitselect(index, code0, f32x4.gt(d0, best0));
    best0 = f32x4.pmax(best0, d0);
    code1 = v128.bitselect(index, code1, f32x4.gt(d1, best1));
    best1 = f32x4.pmax(best1, d1);
  }
  v128.store(targets, code0);
  v128.store(targets, code1, 16);
}

/** values[column] = scale · codeword (added if `add`) for one vector's d columns, rows [start, end). */
export function decodeVector(
  start: i32,
  end: i32,
  stride: i32,
  d: i32,
  columns: usize,
  scale: usize,
  codebook: usize,
  codes: usize,
  add: i32,
  values: usize,
): void {
  const column = (<usize>stride) << 2;
  for (let row = start; row < end; row += 4) {
    const lane = (<usize>row) << 2;
    const r = v128.load(scale + lane);
    for (let i: usize = 0; i < <usize>d; i++) {
      const at = values + <usize>load<i32>(columns + (i << 2)) * column + lane;
      const value = f32x4.mul(r, gather(codebook, d, i, codes + (lane >> 1)));
      v128.store(at, add ? f32x4.add(v128.load(at), value) : value);
    }
  }
}

/**
 * Sums over the rows of one vector, by codeword: gradient[code] += scale · (panel·M) (doubles, k × d), and, unless
 * `weights` is 0, weights[code] += scale² (doubles, k).
 * @param first the d columns of the panel, one after another
 * @param metric M, d × d, or 0: the identity
 */
export function addByCode(
  rows: i32,
  stride: i32,
  d: i32,
  first: usize,
  metric: usize,
  scale: usize,
  codes: usize,
  gradient: usize,
  weights: usize,
): void {
  const column = (<usize>stride) << 2;
  for (let row: usize = 0; row < <usize>rows; row++) {
    const r = <f64>load<f32>(scale + (row << 2));
    const code = <usize>load<u16>(codes + (row << 1));
    const into = gradient + ((code * d) << 3);
    for (let i: usize = 0; i < <usize>d; i++) {
      let sum: f64 = 0;
      if (metric) {
        for (let p: usize = 0; p < <usize>d; p++) {
          const m = load<f32>(metric + ((p * d + i) << 2));
          sum += <f64>load<f32>(first + p * column + (row << 2)) * <f64>m;
        }
      } else sum = load<f32>(first + i * column + (row << 2));
      store<f64>(into + (i << 3), load<f64>(into + (i << 3)) + r * sum);
    }
    if (weights) {
      const weight = weights + (code << 3);
      store<f64>(weight, load<f64>(weight) + r * r);
    }
  }
}

/** curvature[code] += weights[code] · M (doubles, k × d × d), and clears the weights. */
export function addCurvature(size: i32, d: i32, weights: usize, metric: usize, curvature: usize): void {
  const entries = <usize>(d * d);
  for (let code: usize = 0; code < <usize>size; code++) {
    const weight = load<f64>(weights + (code << 3));
    if (weight == 0) continue;
    store<f64>(weights + (code << 3), 0);
    const into = curvature + ((code * entries) << 3);
    for (let e: usize = 0; e < entries; e++) {
      const at = into + (e << 3);
      store<f64>(at, load<f64>(at) + weight * <f64>load<f32>(metric + (e << 2)));
    }
  }
}

/**
 * Solves curvature[code] · x = gradient[code] for codewords [start, end) by Cholesky in place of the curvature (or,
 * with `factored`, by the factors that an earlier call left); x = 0 where there are no vectors.
 */
export function solveByCode(
  start: i32,
  end: i32,
  d: i32,
  curvature: usize,
  factored: i32,
  gradient: usize,
  x: usize,
): void {
  for (let code = start; code < end; code++) {
    const a = curvature + ((<usize>(code * d * d)) << 3);
    const g = gradient + ((<usize>(code * d)) << 3);
    const y = x + ((<usize>(code * d)) << 3);
    if (!factored) factorSmall(a, d);
    for (let i = 0; i < d; i++) {
      let sum = load<f64>(g + ((<usize>i) << 3));
      for (let p = 0; p < i; p++) sum -= element(a, d, i, p) * load<f64>(y + ((<usize>p) << 3));
      const pivot = element(a, d, i, i);
      store<f64>(y + ((<usize>i) << 3), pivot > 0 ? sum / pivot : 0);
    }
    for (let i = d - 1; i >= 0; i--) {
      let sum = load<f64>(y + ((<usize>i) << 3));
      for (let p = i + 1; p < d; p++) sum -= element(a, d, p, i) * load<f64>(y + ((<usize>p) << 3));
      const pivot = element(a, d, i, i);
      store<f64>(y + ((<usize>i) << 3), pivot > 0 ? sum / pivot : 0);
    }
  }
}

/** Cholesky factor in the lower triangle; rows without a positive pivot are zero. */
function factorSmall(a: usize, d: i32): void {
  for (let j = 0; j < d; j++) {
    for (let i = j; i < d; i++) {
      let sum = element(a, d, i, j);
      for (let p = 0; p < j; p++) sum -= element(a, d, i, p) * element(a, d, j, p);
      if (i == j) store<f64>(a + ((<usize>(j * d + j)) << 3), sum > 0 ? sqrt<f64>(sum) : 0);
      else {
        const pivot = element(a, d, j, j);
        store<f64>(a + ((<usize>(i * d + j)) << 3), pivot > 0 ? sum / pivot : 0);
      }
    }
  }
}

function element(a: usize, d: i32, i: i32, j: i32): f64 {
  return load<f64>(a + ((<usize>(i * d + j)) << 3));
}

/** Puts one code per row, rows [start, end), at bit `from` of rows of `rowBytes` zeroed bytes, lowest bits first. */
export function packCodes(
  start: i32,
  end: i32,
  codes: usize,
  from: i32,
  bits: i32,
  rowBytes: i32,
  into: usize,
): void {
  for (let row: usize = start; row < <usize>end; row++) {
    let at = into + row * rowBytes + <usize>(from >> 3);
    let word = (<u32>load<u16>(codes + (row << 1))) << (from & 7);
    for (; word; word >>= 8, at++) store<u8>(at, load<u8>(at) | <u8>word);
  }
}

/** The inverse of packCodes; reads up to two bytes beyond the last. */
export function unpackCodes(
  start: i32,
  end: i32,
  codes: usize,
  from: i32,
  bits: i32,
  rowBytes: i32,
  source: usize,
): void {
  const mask = (1 << bits) - 1;
  for (let row: usize = start; row < <usize>end; row++) {
    const at = source + row * rowBytes + <usize>(from >> 3);
    const word = <u32>load<u16>(at) | ((<u32>load<u8>(at, 2)) << 16);
    store<u16>(codes + (row << 1), <u16>((word >> (from & 7)) & mask));
  }
}

/** sums[row] += Σ over columns of weights · x², in double precision, for rows [start, end) of `cols` columns. */
export function addWeightedSquares(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  x: usize,
  weights: usize,
  sums: usize,
): void {
  const pitch = (<usize>stride) << 2;
  for (let col: usize = 0; col < <usize>cols; col++) {
    const weight = f64x2.splat(load<f32>(weights + (col << 2)));
    for (let row: usize = start; row < <usize>end; row += 2) {
      const into = sums + (row << 3);
      const value = f64x2.promote_low_f32x4(v128.load64_zero(x + col * pitch + (row << 2)));
      v128.store(into, f64x2.add(v128.load(into), f64x2.mul(weight, f64x2.mul(value, value))));
    }
  }
}
