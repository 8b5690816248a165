import type { GgufName } from './gguf.js';

/** Bits [from, from + width) of a stored integer stand in a byte of the block from bit `shift` on. */
export interface BitPiece {
  readonly byte: number;
  readonly shift: number;
  readonly width: number;
  readonly from: number;
}

/** Integers of one kind: where the bits of number `unit` of a block are. */
export interface BitPlacement {
  /** Added to the integer before it is stored, modulo 256. */
  readonly bias: number;
  readonly pieces: readonly ((unit: number) => readonly BitPiece[])[];
}

/** Where a block keeps what. */
export interface BlockLayout {
  /** First byte of the scale or super-scale; a half unless `exponent`. */
  readonly scale: number;
  /** First byte of the offset or super-offset (a half). */
  readonly offset?: number;
  /** The scale is one byte e for 2^(e − 128). */
  readonly exponent?: boolean;
  /** Codes; `trits` are TQ1_0's base-3 digits. */
  readonly codes: BitPlacement | 'trits';
  readonly scaleCodes?: BitPlacement;
  readonly offsetCodes?: BitPlacement;
  /** The 4-bit number in the file of each code, and the code of each number; absent if they are the same. */
  readonly rename?: { readonly stored: readonly number[]; readonly code: readonly number[] };
}

/**
 * Integers in `run` consecutive bytes from byte `at`: the first `run` in the lowest `width` bits of the bytes, the
 * next `run` in the next bits, and so on; full bytes are followed by the next `run` bytes.
 */
const strided =
  (at: number, width: number, run: number, from = 0) =>
  (unit: number): readonly BitPiece[] => {
    const perByte = 8 / width;
    const byte = at + Math.floor(unit / (run * perByte)) * run + (unit % run);
    return [{ byte, shift: width * (Math.floor(unit / run) % perByte), width, from }];
  };

const placement = (bias: number, ...pieces: BitPlacement['pieces']): BitPlacement => ({ bias, pieces });
const nibbles = (at: number, run: number) => placement(0, strided(at, 4, run));

/** Q2_K: byte `unit` holds a scale in its low and an offset in its high half. */
const halfByte = (shift: number) => placement(0, (unit) => [{ byte: unit, shift, width: 4, from: 0 }]);

/**
 * Q4_K and Q5_K, 12 bytes from byte 4: scales 0–3 in the low six bits of the first four bytes, offsets 0–3 in
 * those of the next four; of 4–7 the low four bits share the last four bytes, the high two bits top up the others.
 */
const sixBits = (kind: 'scale' | 'offset') => {
  const first = kind === 'scale' ? 4 : 8;
  const lowShift = kind === 'scale' ? 0 : 4;
  return placement(0, (unit) =>
    unit < 4
      ? [{ byte: first + unit, shift: 0, width: 6, from: 0 }]
      : [
          { byte: 8 + unit, shift: lowShift, width: 4, from: 0 },
          { byte: first + unit - 4, shift: 6, width: 2, from: 4 },
        ],
  );
};

// E2M1 numbers count up from 0 to 7 with the sign in the top bit; our codes ascend with the value.
const e2m1 = {
  stored: [15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7, 7],
  code: [7, 8, 9, 10, 11, 12, 13, 14, 7, 6, 5, 4, 3, 2, 1, 0],
};

/** Block layouts by type name. Facts from the block structures in ggml-common.h (llama.cpp v0.5.0). */
export const blockLayouts: { readonly [Name in Exclude<GgufName, 'f32' | 'f16' | 'bf16'>]: BlockLayout } = {
  q8_0: { scale: 0, codes: placement(128, strided(2, 8, 1)) },
  q4_0: { scale: 0, codes: nibbles(2, 16) },
  q4_1: { scale: 0, offset: 2, codes: nibbles(4, 16) },
  q5_0: { scale: 0, codes: placement(0, strided(6, 4, 16), strided(2, 1, 1, 4)) },
  q5_1: { scale: 0, offset: 2, codes: placement(0, strided(8, 4, 16), strided(4, 1, 1, 4)) },
  q2_k: {
    scale: 80,
    offset: 82,
    codes: placement(0, strided(16, 2, 32)),
    scaleCodes: halfByte(0),
    offsetCodes: halfByte(4),
  },
  q3_k: {
    scale: 108,
    codes: placement(0, strided(32, 2, 32), strided(0, 1, 32, 2)),
    scaleCodes: placement(32, strided(96, 4, 8), strided(104, 2, 4, 4)),
  },
  q4_k: {
    scale: 0,
    offset: 2,
    codes: nibbles(16, 32),
    scaleCodes: sixBits('scale'),
    offsetCodes: sixBits('offset'),
  },
  q5_k: {
    scale: 0,
    offset: 2,
    codes: placement(0, strided(48, 4, 32), strided(16, 1, 32, 4)),
    scaleCodes: sixBits('scale'),
    offsetCodes: sixBits('offset'),
  },
  q6_k: {
    scale: 208,
    codes: placement(0, strided(0, 4, 64), strided(128, 2, 32, 4)),
    scaleCodes: placement(0, strided(192, 8, 1)),
  },
  iq4_nl: { scale: 0, codes: nibbles(2, 16) },
  iq4_xs: {
    scale: 0,
    codes: nibbles(8, 16),
    scaleCodes: placement(32, strided(4, 4, 1), strided(2, 2, 1, 4)),
  },
  q1_0: { scale: 0, codes: placement(0, strided(2, 1, 1)) },
  q2_0: { scale: 0, codes: placement(0, strided(2, 2, 1)) },
  tq1_0: { scale: 52, codes: 'trits' },
  tq2_0: { scale: 64, codes: placement(0, strided(0, 2, 32)) },
  mxfp4: { scale: 0, exponent: true, codes: nibbles(1, 16), rename: e2m1 },
};
