/** What the parts of a tensor on a grid of MatMulNBits are called, behind the tensor's own name. */
export const onnxSuffixes = { codes: '.codes', scales: '.scales', zeroPoints: '.zero_points' } as const;
