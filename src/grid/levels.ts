import { TersorError } from '../errors.js';
import type { Arena } from '../kernels/kernels.js';
import type { Grid, Parameters } from './grid.js';

// The record that assembly/levels.ts reads, in 32-bit words.
const words = {
  kind: 0,
  low: 1,
  high: 2,
  count: 3,
  midpoints: 4,
  codebook: 4,
  pitch: 5,
  values: 260,
  length: 516,
} as const;
const castKinds = { f32: 2, f16: 3, bf16: 4 } as const;
const codebookKind = 5;

/** Describes levels to kernels that round (assembly/levels.ts); those of codebooks stand in the parameters. */
export function levelRecord(
  arena: Arena,
  { levels }: Pick<Grid, 'levels'>,
  { codebook }: Pick<Parameters, 'codebook'>,
): Float32Array {
  const record = arena.f32(words.length);
  const integers = new Int32Array(record.buffer, record.byteOffset, words.length);
  if (levels.kind === 'uniform') {
    record.set([levels.min, levels.max], words.low);
  } else if (levels.kind === 'table') {
    const { values } = levels;
    integers[words.kind] = 1;
    integers[words.count] = values.length;
    record.set(values, words.values);
    const midpoints = values.subarray(1).map((value, i) => (value + (values[i] ?? value)) / 2);
    record.set(midpoints, words.midpoints);
  } else if (levels.kind === 'codebook') {
    if (!codebook) throw new Error('parameters without a codebook; make them with the grid’s allocate');
    integers[words.kind] = codebookKind;
    integers[words.count] = levels.size;
    integers[words.codebook] = codebook.byteOffset;
    integers[words.pitch] = (codebook.length / levels.size) * codebook.BYTES_PER_ELEMENT;
  } else if (levels.kind === 'vector') {
    throw new TersorError('types vq-… have codes for several columns at a time', {
      remedy: 'choose the solver vptq for them',
    });
  } else {
    integers[words.kind] = castKinds[levels.type];
  }
  return record;
}
