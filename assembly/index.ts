// The kernels' entry point: every export here is callable through src/kernels.

export * from './cast';
export * from './cholesky';
export * from './convert';
export * from './dequantize';
export { descendBlock, descentScratch } from './descent';
export { descendOutliers } from './descent-outliers';
export { factorWindows, windowFloats } from './descent-window';
export * from './fit';
export * from './fit-range';
export * from './fit-two-level';
export { offsetsToZeroPoints, zeroPointsToOffsets } from './fit-zero';
export * from './integer';
export { codebookScratch, fitCodebooks } from './kmeans';
export * from './nested';
export { startNoise } from './noise';
export * from './outliers';
export { packBlocks, unpackBlocks } from './pack';
export * from './panel';
export { powerLevels } from './power';
export * from './probe';
export { fillSigns } from './random-signs';
export { decodeRefinement, encodeRefinement, refinementScratch, scaleColumns } from './refinement';
export * from './round';
export * from './scales';
export { fitSigns, signLevels, signsScratch } from './signs';
export * from './solve';
export * from './statistics';
export * from './vector';
export { tileCodebook } from './vector-search';
export * from './vector-sums';
export * from './words';

/** The first byte that constant data does not use; src/kernels allocates from there. */
export function heapBase(): usize {
  return __heap_base;
}
