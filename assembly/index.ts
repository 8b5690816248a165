// The kernels' entry point: every function exported here is callable through src/kernels.

export { descendBlock, descentScratch } from './descent/block';
export { factorWindows, windowFloats } from './descent/factor-windows';
export { sweepBlock } from './feedback/sweep';
export { currentTarget } from './feedback/target';
export { fitDirect } from './fit/direct';
export { spreadImportance } from './fit/importance';
export { codebookScratch, fitCodebooks } from './fit/kmeans';
export { fitRange } from './fit/range';
export { fitByRatios, largestMagnitude } from './fit/ratios';
export { fitSigns, signLevels, signsScratch } from './fit/signs';
export { halfBeside, tensorSums } from './fit/tensor';
export { fitTwoLevel, projectTwoLevel } from './fit/two-level';
export { factorSquare, gatherSymmetric, prepareSolve, solvePanel } from './linear-algebra/cholesky';
export {
  addRowErrors,
  addRowProducts,
  addWeightedSquares,
  axpy,
  keepBetterRows,
  restoreRows,
  scaleColumns,
  spreadGroupsOfRows,
  subtractPanels,
} from './linear-algebra/panels';
export { panelToRows, rowsToPanel } from './linear-algebra/transpose';
export { castToBf16, castToF16 } from './numbers/cast';
export {
  convertBf16,
  convertF16,
  convertF64,
  convertI8,
  convertI16,
  convertI32,
  convertI64,
  convertU8,
  convertU16,
  convertU32,
  convertU64,
  firstNotFinite,
} from './numbers/convert';
export { startNoise } from './numbers/noise';
export { descendOutliers, outlierScratch } from './outliers/descent';
export { addOutliers, columnLoss, takeOut } from './outliers/sparse';
export { chooseTrims, takeTrims, trimColumns } from './outliers/trim';
export { putBits, takeBits } from './pack/bits';
export { packBlocks, unpackBlocks } from './pack/blocks';
export { packIntegers, unpackIntegers } from './pack/integers';
export { decodeLattice } from './pack/lattices';
export { countOutliers, listOutliers, placeOutliers } from './pack/outliers';
export { decodeRefinement, encodeRefinement, refinementScratch } from './pack/refinement';
export { loadScales, storeScales } from './pack/word-scales';
export { packWords, unpackWords } from './pack/words';
export { dequantize, dequantizeGathered, effectiveScales } from './rounding/dequantize';
export { powerLevels } from './rounding/power';
export { roundColumns } from './rounding/round';
export { codesToScales, scalesToCodes } from './rounding/scale-codes';
export { offsetsToZeroPoints, zeroPointsToOffsets } from './rounding/zero-points';
export { fillSigns } from './statistics/random-signs';
export {
  addHistogram,
  rowDistances,
  rowExceeding,
  rowMoments,
  rowProducts,
  rowRanges,
  rowWeightedDifferences,
} from './statistics/rows';
export { decodeVector, packCodes, unpackCodes } from './vector/codes';
export { tileCodebook } from './vector/search';
export { addByCode, addCurvature, solveByCode } from './vector/sums';
export { sweepVector } from './vector/sweep';

/** The first byte that constant data does not use; src/kernels allocates from there. */
export function heapBase(): usize {
  return __heap_base;
}
