import type { Grid } from '../grid.js';

/** One of the tensors that a weight is stored as. */
export interface WordPart {
  /** Its name is the layer's with this behind it. */
  readonly suffix: string;
  /** Safetensors' own. */
  readonly dtype: 'I32' | 'I64' | 'F16' | 'BF16' | 'F32';
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** Steps between neighbours in a stored matrix, in elements. */
export interface Pitches {
  /** From one code's word, or from one group, to the next of the same row. */
  readonly along: number;
  readonly row: number;
}

/** Where codes, scales and zero points of a weight lie among its parts. */
export interface WordLayout {
  /** What the format is called. */
  readonly variant: 'gptq' | 'compressed-tensors';
  /** Whether codes go on in the next word where one ends; if not, a word has ⌊32 / bits⌋ of them. */
  readonly dense: boolean;
  /** Subtracted from zero points before they are stored. */
  readonly zeroShift: number;
  /** Names of the parts by what they hold; what is not named here is constant. */
  readonly parts: { readonly codes: string; readonly scales: string; readonly zeros: string };
  /** The parts of a weight, in the order of `Grid.pack`. */
  list(format: WordFormat, rows: number, cols: number): readonly WordPart[];
  /** Of codes along a row. */
  codePitches(format: WordFormat, rows: number, cols: number): Pitches;
  /** Of scales. */
  scalePitches(rows: number, groups: number): Pitches;
  /** Of zero points, which are packed along the rows of the weight: `along` is from word to word, `row` from group to group. */
  zeroPitches(format: WordFormat, rows: number, groups: number): Pitches;
  /** What a constant part holds. */
  constant(part: WordPart, format: WordFormat, rows: number, cols: number): Uint8Array;
}

/** Integers of a weight in words. */
export interface WordFormat {
  readonly name: string;
  readonly layout: WordLayout;
  readonly bits: number;
  /** Columns that share a scale; `Infinity` for a row. */
  readonly groupSize: number;
  /** Whether zero points are stored; levels are then 0 … 2^b − 1, else −2^(b−1) … 2^(b−1) − 1. */
  readonly affine: boolean;
  readonly scaleType: 'F16' | 'BF16' | 'F32';
  /** Group of every column, where columns do not belong to groups in their order. */
  readonly groupOf?: Int32Array;
}

/** A grid whose weights are several tensors of 32-bit words and halves. */
export interface WordGrid extends Grid {
  readonly words: WordFormat;
}
