import { type Encoded, storedBytes, storedFloats } from '../../grid/grid.js';
import type { Arena, FieldsOf, KernelRecord } from '../../kernels/kernels.js';

/** How assembly/descent/storage.ts tells formats apart. */
const kinds = { f16: 1, e8m0: 2, 'two-level': 3, zeroPoint: 4 } as const;

/** What kernels may choose as scales and offsets of an encoded tensor. */
export interface StorageRecord {
  /** For the block of columns that starts here; valid until the next call. */
  at(column: number): KernelRecord<'StorageRules'>;
}

/** @returns undefined where scales and offsets cannot be chosen group by group */
export function storageRecord(
  arena: Arena,
  { grid, parameters, stride }: Encoded,
  trials: number,
): StorageRecord | undefined {
  const { scale, blockSize, groupSize } = grid;
  if (!scale || scale.kind === 'none' || !Number.isFinite(groupSize)) return undefined;
  const none: FieldsOf<'StorageRules'> = {
    kind: 0,
    affine: Boolean(scale.offset),
    scaleMin: 0,
    scaleMax: 0,
    offsetMax: 0,
    trials,
    superColumns: 0,
    superScale: undefined,
    superOffset: undefined,
    scaleCode: undefined,
    offsetCode: undefined,
  };
  if (scale.kind === 'direct') {
    const record = arena.record('StorageRules', {
      ...none,
      kind: scale.zeroPoint === undefined ? kinds[scale.type] : kinds.zeroPoint,
      offsetMax: scale.zeroPoint ?? 0,
      scaleMin: scale.lowestZeroPoint ?? 0,
    });
    return { at: () => record };
  }
  const record = arena.record('StorageRules', {
    ...none,
    kind: kinds['two-level'],
    superColumns: blockSize,
    scaleMin: scale.scaleMin,
    scaleMax: scale.scaleMax,
    offsetMax: scale.offset?.max ?? 0,
  });
  return {
    at(column) {
      const [block, group] = [(column / blockSize) * stride, (column / groupSize) * stride];
      record.set({
        superScale: storedFloats(parameters, 'superScale').subarray(block),
        superOffset: scale.offset && storedFloats(parameters, 'superOffset').subarray(block),
        scaleCode: storedBytes(parameters, 'scaleCode').subarray(group),
        offsetCode: scale.offset && storedBytes(parameters, 'offsetCode').subarray(group),
      });
      return record;
    },
  };
}
