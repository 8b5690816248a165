// Vector codebooks (src/grid/vector/vector.ts, src/solver/vector/vptq.ts): error feedback and coordinate descent for `d` columns at
// a time, and decoding. Lanes are rows; a strip is eight rows. A codebook is k × d, row-major; codes are u16, one row
// of `stride` per vector.
import { F32Array, I32Array, Optional, U16Array } from '../arrays';
import { advance, centred } from '../numbers/noise';
import { gather, search, stripBytes } from './search';

const stripRows: i32 = 8;

@unmanaged
export class SweepVector {
  stride: i32;
  d: i32;
  /** The d columns of `base`. */
  columns: I32Array;
  /** Panel; without it the base is zero, or with `kept` what the codes stand for now. */
  base: Optional<F32Array>;
  kept: bool;
  /** width × stride; `deltas` likewise; the d columns start at column `at` of both. */
  sums: F32Array;
  deltas: F32Array;
  at: i32;
  to: i32;
  /** A, d × d. */
  shift: F32Array;
  /** F, d × d; `tiles` is the codebook made for it by tileCodebook. */
  factor: F32Array;
  /** d rows of `pitch` floats. */
  coupling: F32Array;
  pitch: i32;
  /** One per row, not zero. */
  scale: F32Array;
  codebook: F32Array;
  tiles: F32Array;
  size: i32;
  /** Of this vector. */
  codes: U16Array;
  /**
   * States of the rows' generators (assembly/numbers/noise.ts), or 0: every coordinate of t·F gets noise of
   * variance T / 2, as at temperature T; `temperatures` are 6 × T of every row
   */
  noise: Optional<I32Array>;
  temperatures: Optional<F32Array>;
  /** 2 · d · stride floats (stride rounded up to 8). */
  scratch: F32Array;
}

/**
 * One step of error feedback or of coordinate descent for d columns of rows [start, end). With the error so far
 * seen through `sums`, t = base + sums·A; the codeword c that minimises |(t / scale − c)·F| is taken, and the
 * difference b = base − scale · c is added to `deltas` and, times `coupling`, to columns [0, to) of `sums`.
 */
export function sweepVector(start: i32, end: i32, record: SweepVector): void {
  const stride = record.stride;
  const d = record.d;
  const columns = record.columns;
  const base = record.base;
  const kept = record.kept;
  const sums = record.sums;
  const deltas = record.deltas;
  const at = record.at;
  const to = record.to;
  const shift = record.shift;
  const factor = record.factor;
  const coupling = record.coupling;
  const pitch = record.pitch;
  const scale = record.scale;
  const codebook = record.codebook;
  const tiles = record.tiles;
  const size = record.size;
  const codes = record.codes;
  const noise = record.noise;
  const temperatures = record.temperatures;
  const scratch = record.scratch;
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
      if (noise)
        perturb(
          targets + (v << 4),
          d,
          noise + lane,
          f32x4.mul(f32x4.sqrt(v128.load(temperatures + lane)), inverse),
        );
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

/** Adds uniform noise that is `reach` wide to the d coordinates of four rows. */
function perturb(targets: usize, d: i32, states: usize, reach: v128): void {
  let state = v128.load(states);
  for (let i: usize = 0; i < <usize>d; i++) {
    state = advance(state);
    const own = targets + i * stripBytes;
    v128.store(own, f32x4.add(v128.load(own), f32x4.mul(centred(state), reach)));
  }
  v128.store(states, state);
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
