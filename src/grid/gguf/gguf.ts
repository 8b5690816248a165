import type { Levels, ScaleStorage } from '../grid.js';

/** What one of GGUF's tensor types can store. */
export interface GgufFormat {
  readonly name: GgufName;
  /** `enum ggml_type`, the number in the file. */
  readonly type: number;
  readonly summary: string;
  readonly levels: Levels;
  readonly blockSize: number;
  readonly blockBytes: number;
  readonly groupSize: number;
  readonly scale: ScaleStorage;
}

export type GgufName =
  | 'f32'
  | 'f16'
  | 'bf16'
  | 'q8_0'
  | 'q4_0'
  | 'q4_1'
  | 'q5_0'
  | 'q5_1'
  | 'q2_k'
  | 'q3_k'
  | 'q4_k'
  | 'q5_k'
  | 'q6_k'
  | 'iq4_nl'
  | 'iq4_xs'
  | 'q1_0'
  | 'q2_0'
  | 'tq1_0'
  | 'tq2_0'
  | 'mxfp4';

const uniform = (min: number, max: number): Levels => ({ kind: 'uniform', min, max });
const table = (...values: number[]): Levels => ({ kind: 'table', values: Float32Array.from(values) });
const direct = { kind: 'direct', type: 'f16', offset: false } as const;
const directOffset = { kind: 'direct', type: 'f16', offset: true } as const;

/** A float type: blocks of one element, no scales. */
const cast = (type: 'f32' | 'f16' | 'bf16', bytes: number) =>
  ({
    levels: { kind: 'cast', type },
    blockSize: 1,
    blockBytes: bytes,
    groupSize: 1,
    scale: { kind: 'none' },
  }) as const;

/** A format with one scale per block. */
const single = (blockSize: number, blockBytes: number, levels: Levels, scale: ScaleStorage = direct) =>
  ({ levels, blockSize, blockBytes, groupSize: blockSize, scale }) as const;

/** A format with 256 columns per block and integer scales per group. */
const twoLevel = (
  groupSize: number,
  blockBytes: number,
  levels: Levels,
  [scaleMin, scaleMax]: readonly [number, number],
  offsetMax?: number,
) =>
  ({
    levels,
    blockSize: 256,
    blockBytes,
    groupSize,
    scale: {
      kind: 'two-level',
      scaleMin,
      scaleMax,
      offset: offsetMax === undefined ? undefined : { min: 0, max: offsetMax },
    },
  }) as const;

// The 4-bit levels of IQ4_NL and IQ4_XS: close together where a bell-shaped distribution has most weights.
const bell = table(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
// Twice the E2M1 values (OCP Microscaling Formats 1.0, table 5), with one zero: 15 levels, not 16.
const e2m1 = table(-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12);

/**
 * GGUF's tensor types, by lower-case name. Facts from ggml-common.h and ggml-quants.c of llama.cpp v0.5.0; the
 * order of operations in the decoded value is ggml's, so that decoding agrees with it bit for bit.
 */
export const ggufFormats: { readonly [Name in GgufName]: GgufFormat & { readonly name: Name } } = {
  f32: { name: 'f32', type: 0, summary: '32-bit floats', ...cast('f32', 4) },
  f16: { name: 'f16', type: 1, summary: '16-bit floats, 5-bit exponent', ...cast('f16', 2) },
  bf16: { name: 'bf16', type: 30, summary: '16-bit floats, 8-bit exponent', ...cast('bf16', 2) },
  q8_0: {
    name: 'q8_0',
    type: 8,
    summary: '8-bit integers, a half scale per 32',
    ...single(32, 34, uniform(-128, 127)),
  },
  q4_0: {
    name: 'q4_0',
    type: 2,
    summary: '4-bit integers, a half scale per 32',
    ...single(32, 18, uniform(-8, 7)),
  },
  q4_1: {
    name: 'q4_1',
    type: 3,
    summary: '4-bit integers, a half scale and offset per 32',
    ...single(32, 20, uniform(0, 15), directOffset),
  },
  q5_0: {
    name: 'q5_0',
    type: 6,
    summary: '5-bit integers, a half scale per 32',
    ...single(32, 22, uniform(-16, 15)),
  },
  q5_1: {
    name: 'q5_1',
    type: 7,
    summary: '5-bit integers, a half scale and offset per 32',
    ...single(32, 24, uniform(0, 31), directOffset),
  },
  q2_k: {
    name: 'q2_k',
    type: 10,
    summary: '2-bit integers, 4-bit scales and offsets per 16, halves per 256',
    ...twoLevel(16, 84, uniform(0, 3), [0, 15], 15),
  },
  q3_k: {
    name: 'q3_k',
    type: 11,
    summary: '3-bit integers, signed 6-bit scales per 16, a half per 256',
    ...twoLevel(16, 110, uniform(-4, 3), [-32, 31]),
  },
  q4_k: {
    name: 'q4_k',
    type: 12,
    summary: '4-bit integers, 6-bit scales and offsets per 32, halves per 256',
    ...twoLevel(32, 144, uniform(0, 15), [0, 63], 63),
  },
  q5_k: {
    name: 'q5_k',
    type: 13,
    summary: '5-bit integers, 6-bit scales and offsets per 32, halves per 256',
    ...twoLevel(32, 176, uniform(0, 31), [0, 63], 63),
  },
  q6_k: {
    name: 'q6_k',
    type: 14,
    summary: '6-bit integers, signed 8-bit scales per 16, a half per 256',
    ...twoLevel(16, 210, uniform(-32, 31), [-128, 127]),
  },
  iq4_nl: {
    name: 'iq4_nl',
    type: 20,
    summary: '16 bell-shaped levels, a half scale per 32',
    ...single(32, 18, bell),
  },
  iq4_xs: {
    name: 'iq4_xs',
    type: 23,
    summary: '16 bell-shaped levels, signed 6-bit scales per 32, a half per 256',
    ...twoLevel(32, 136, bell, [-32, 31]),
  },
  q1_0: {
    name: 'q1_0',
    type: 41,
    summary: 'signs, a half scale per 128',
    ...single(128, 18, table(-1, 1)),
  },
  q2_0: {
    name: 'q2_0',
    type: 42,
    summary: 'levels −1, 0, 1, 2, a half scale per 64',
    ...single(64, 18, uniform(-1, 2)),
  },
  tq1_0: {
    name: 'tq1_0',
    type: 34,
    summary: 'levels −1, 0, 1, five to a byte, a half scale per 256',
    ...single(256, 54, uniform(-1, 1)),
  },
  // The fourth 2-bit code would decode to 2, but llama.cpp's kernels say it should not occur: no level for it.
  tq2_0: {
    name: 'tq2_0',
    type: 35,
    summary: 'levels −1, 0, 1, four to a byte, a half scale per 256',
    ...single(256, 66, uniform(-1, 1)),
  },
  mxfp4: {
    name: 'mxfp4',
    type: 39,
    summary: '4-bit floats (E2M1), a power-of-two scale per 32',
    ...single(32, 17, e2m1, { kind: 'direct', type: 'e8m0', offset: false }),
  },
};
