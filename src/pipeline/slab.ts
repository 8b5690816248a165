// Rows of an embedding or head are independent: a slab at a time keeps the kernels' memory small.
const slabElements = 1 << 25;

/** Rows of a table that are worked on at a time. */
export const slabRows = (cols: number): number => Math.max(1, Math.floor(slabElements / cols));
