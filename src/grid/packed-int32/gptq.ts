import type { WordGrid, WordLayout, WordPart } from './layout.js';
import { groupsIn, int32Bytes, integerName, wordGrid, wordsOf } from './packed-int32.js';

/** How these grids are named, for messages that list what there is. */
export const gptqNames = 'int2, int3, int4, int8 with -g32, -g64, -g128 or -channel, and -asym';

/**
 * The integers of GPTQ's checkpoints (AutoGPTQ, GPTQModel; loaded by vLLM and transformers). Of a layer [out, in]:
 *
 * - `qweight`, I32 [in · bits / 32, out]: codes 0 … 2^b − 1 along the inputs, the first in the lowest bits, those of 3 bits
 *   across the borders of words;
 * - `scales`, F16 [groups, out];
 * - `qzeros`, I32 [groups, out · bits / 32]: zero points *minus one*, as the format `gptq` (version 1) has them, packed along
 *   the outputs; `value = scale · (code − zero)`. Readers disagree on a stored 2^b − 1, so that zero points are 1 … 2^b − 1;
 * - `g_idx`, I32 [in]: group of every input.
 *
 * Without `-asym` the zero point is 2^(b−1) everywhere.
 * @returns undefined if the name is not one of these
 */
export function findGptqGrid(name: string): WordGrid | undefined {
  const format = integerName(name, [2, 3, 4, 8], [32, 64, 128]);
  return format && wordGrid({ ...format, layout: gptqLayout, scaleType: 'F16' });
}

const whole = (suffix: string, shape: readonly [number, number?]): WordPart => ({
  suffix,
  dtype: 'I32',
  shape: shape.filter((size) => size !== undefined),
  bytes: 4 * shape[0] * (shape[1] ?? 1),
});

const scaleBytes = { F16: 2, BF16: 2, F32: 4 } as const;

/** Version 1 of the format; GPTQModel's `gptq_v2` stores zero points as they are. */
export const gptqLayout: WordLayout = {
  variant: 'gptq',
  dense: true,
  zeroShift: 1,
  parts: { codes: '.qweight', scales: '.scales', zeros: '.qzeros' },
  list(format, rows, cols) {
    const { bits, scaleType } = format;
    const groups = groupsIn(format, cols);
    return [
      whole('.qweight', [wordsOf(cols, bits, true), rows]),
      whole('.qzeros', [groups, wordsOf(rows, bits, true)]),
      {
        suffix: '.scales',
        dtype: scaleType,
        shape: [groups, rows],
        bytes: scaleBytes[scaleType] * groups * rows,
      },
      whole('.g_idx', [cols]),
    ];
  },
  codePitches: (_format, rows) => ({ along: rows, row: 1 }),
  scalePitches: (rows) => ({ along: rows, row: 1 }),
  zeroPitches: ({ bits }, rows) => ({ along: 1, row: wordsOf(rows, bits, true) }),
  constant: (_part, { groupSize }, _rows, cols) =>
    int32Bytes(Array.from({ length: cols }, (_, col) => Math.floor(col / groupSize))),
};

/** The version whose zero points are stored as they are. */
export const gptqSecondLayout: WordLayout = { ...gptqLayout, zeroShift: 0 };
