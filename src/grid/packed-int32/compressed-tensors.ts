import type { WordGrid, WordLayout, WordPart } from './layout.js';
import { groupsIn, integerName, wordGrid, wordsOf } from './packed-int32.js';

/** How these grids are named, for messages that list what there is. */
export const compressedTensorsNames = 'int2, int4, int8 with -g16 … -g256 or -channel, and -asym';

/**
 * The integers of compressed-tensors' format `pack-quantized` (llm-compressor's; loaded by vLLM and transformers). Of a
 * layer [out, in], with p = 32 / bits codes to a word, the first in the lowest bits:
 *
 * - `weight_packed`, I32 [out, ⌈in / p⌉]: levels plus 2^(b−1), along the inputs;
 * - `weight_scale`, F16 [out, groups];
 * - `weight_zero_point`, with `-asym` only, I32 [⌈out / p⌉, groups]: zero points plus 2^(b−1), along the outputs;
 *   `value = scale · (level − zero)`;
 * - `weight_shape`, I64 [2].
 *
 * What is stored of levels and zero points is so counted from 0, as codes are here. Other numbers of bits are not written:
 * releases of compressed-tensors differ in whether codes may lie across words.
 * @returns undefined if the name is not one of these
 */
export function findCompressedTensorsGrid(name: string): WordGrid | undefined {
  const format = integerName(name, [2, 4, 8], [16, 32, 64, 128, 256]);
  return format && wordGrid({ ...format, layout: compressedTensorsLayout, scaleType: 'F16' });
}

const matrix = (suffix: string, rows: number, cols: number, dtype: WordPart['dtype'] = 'I32'): WordPart => ({
  suffix,
  dtype,
  shape: [rows, cols],
  bytes: (dtype === 'F16' || dtype === 'BF16' ? 2 : 4) * rows * cols,
});

/** Of the releases whose codes do not lie across words; where bits divide 32, of all. */
export const compressedTensorsLayout: WordLayout = {
  variant: 'compressed-tensors',
  dense: false,
  zeroShift: 0,
  parts: { codes: '.weight_packed', scales: '.weight_scale', zeros: '.weight_zero_point' },
  list(format, rows, cols) {
    const { layout, bits, affine, scaleType } = format;
    const groups = groupsIn(format, cols);
    return [
      matrix('.weight_packed', rows, wordsOf(cols, bits, layout.dense)),
      matrix('.weight_scale', rows, groups, scaleType),
      ...(affine ? [matrix('.weight_zero_point', wordsOf(rows, bits, layout.dense), groups)] : []),
      { suffix: '.weight_shape', dtype: 'I64', shape: [2], bytes: 16 },
    ];
  },
  codePitches: ({ layout, bits }, _rows, cols) => ({ along: 1, row: wordsOf(cols, bits, layout.dense) }),
  scalePitches: (_rows, groups) => ({ along: 1, row: groups }),
  zeroPitches: (_format, _rows, groups) => ({ along: groups, row: 1 }),
  constant: (_part, _format, rows, cols) =>
    new Uint8Array(BigInt64Array.of(BigInt(rows), BigInt(cols)).buffer),
};

/** Of the others. */
export const denseTensorsLayout: WordLayout = { ...compressedTensorsLayout, dense: true };
