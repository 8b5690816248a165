import { TersorError } from '../../errors.js';
import type { Grid } from '../grid.js';

/**
 * The same grid with scales (and offsets) from the smallest and largest weight of each group, as the published codes of
 * GPTQ and QuantEase have them, in place of those that minimise the error: for comparisons. With offsets, the range takes
 * zero in and zero stays zero; without, scale = 2 · max |w| / (levels − 1).
 * @throws TersorError for grids without consecutive integers and a half scale per group
 */
export function withRangeScales(grid: Grid): Grid {
  const { name, levels, scale: storage, groupSize } = grid;
  if (levels.kind !== 'uniform' || storage?.kind !== 'direct' || storage.type !== 'f16')
    throw new TersorError(
      `type ${name} cannot take its scales from the smallest and largest weight of a group`,
      { remedy: 'choose integers such as int4-g32 or q4_0, or leave out the option scales' },
    );
  return {
    ...grid,
    async fit(kernels, { rows, cols, stride, data }, _importance, { scale, offset }, from) {
      const width = Math.min(groupSize, cols);
      const at = Number.isFinite(groupSize) ? (from / groupSize) * stride : 0;
      kernels.parallel('fitRange', Math.ceil(rows / 4) * 4, {
        weight: data,
        stride,
        cols,
        groupSize: width,
        spread: levels.max - levels.min,
        affine: storage.zeroPoint !== undefined ? 2 + (storage.lowestZeroPoint ?? 0) : storage.offset ? 1 : 0,
        scale: scale.subarray(at),
        offset: offset.subarray(at),
      });
    },
  };
}
