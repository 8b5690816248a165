import type { Encoded } from '../../grid/grid.js';
import type { Arena } from '../../kernels/kernels.js';

// The record that assembly/descent-storage.ts reads, in 32-bit words.
const words = {
  kind: 0,
  affine: 1,
  scaleMin: 2,
  scaleMax: 3,
  offsetMax: 4,
  trials: 5,
  superColumns: 6,
  superScale: 7,
  superOffset: 8,
  scaleCode: 9,
  offsetCode: 10,
  length: 11,
} as const;
const kinds = { f16: 1, e8m0: 2, 'two-level': 3, zeroPoint: 4 } as const;

/** What kernels may choose as scales and offsets of an encoded tensor. */
export interface StorageRecord {
  /** For the block of columns that starts here. */
  at(column: number): Int32Array;
}

/** @returns undefined where scales and offsets cannot be chosen group by group */
export function storageRecord(
  arena: Arena,
  { grid, parameters, stride }: Encoded,
  trials: number,
): StorageRecord | undefined {
  const { scale, blockSize, groupSize } = grid;
  if (!scale || scale.kind === 'none' || !Number.isFinite(groupSize)) return undefined;
  const record = arena.i32(words.length);
  const floats = new Float32Array(record.buffer, record.byteOffset, words.length);
  record[words.trials] = trials;
  record[words.affine] = scale.offset ? 1 : 0;
  if (scale.kind === 'direct') {
    record[words.kind] = scale.zeroPoint === undefined ? kinds[scale.type] : kinds.zeroPoint;
    floats[words.offsetMax] = scale.zeroPoint ?? 0;
    floats[words.scaleMin] = scale.lowestZeroPoint ?? 0;
    return { at: () => record };
  }
  record[words.kind] = kinds['two-level'];
  record[words.superColumns] = blockSize;
  floats[words.scaleMin] = scale.scaleMin;
  floats[words.scaleMax] = scale.scaleMax;
  floats[words.offsetMax] = scale.offset?.max ?? 0;
  const { superScale, superOffset, scaleCode, offsetCode } = parameters.stored;
  return {
    at(column) {
      const [block, group] = [(column / blockSize) * stride, (column / groupSize) * stride];
      record[words.superScale] = superScale?.subarray(block).byteOffset ?? 0;
      record[words.superOffset] = superOffset?.subarray(block).byteOffset ?? 0;
      record[words.scaleCode] = scaleCode?.subarray(group).byteOffset ?? 0;
      record[words.offsetCode] = offsetCode?.subarray(group).byteOffset ?? 0;
      return record;
    },
  };
}
