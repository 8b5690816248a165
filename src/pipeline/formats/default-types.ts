/** Six bits are as good as lossless for embeddings, where the blocks fit. */
export const sixOrEightBits = (fits: (type: string) => boolean): string => (fits('q6_k') ? 'q6_k' : 'q8_0');
