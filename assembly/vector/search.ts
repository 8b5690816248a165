import { F32Array } from '../arrays';

/** Coordinate i of the codewords of four rows. */
export function gather(codebook: usize, d: i32, i: usize, codes: usize): v128 {
  const coordinate = codebook + (i << 2);
  return f32x4(
    load<f32>(coordinate + ((<usize>load<u16>(codes) * d) << 2)),
    load<f32>(coordinate + ((<usize>load<u16>(codes, 2) * d) << 2)),
    load<f32>(coordinate + ((<usize>load<u16>(codes, 4) * d) << 2)),
    load<f32>(coordinate + ((<usize>load<u16>(codes, 6) * d) << 2)),
  );
}

// The nearest codeword of eight rows at a time. A codebook is k × d, row-major.
/** Bytes of one coordinate of a strip: eight rows. */
export const stripBytes: usize = 32;

/** Codewords that are compared side by side; codebooks are multiples of it. */
const tileCodes: usize = 4;

/**
 * A codebook as `sweepVector` searches it: c′ = c·F, in tiles of four codewords: d rows of four coordinates, then
 * four times ½|c′|².
 * @param factor F, d × d
 */
export function tileCodebook(codebook: F32Array, size: i32, d: i32, factor: F32Array, tiles: F32Array): void {
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
 * The codeword with the largest u·c′ − ½|c′|² for eight rows; the first of equals. Replaces the first 32 bytes of
 * `targets` (d × 8 rows) by the codes (i32).
 */
export function search(targets: usize, d: i32, tiles: usize, size: i32): void {
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
