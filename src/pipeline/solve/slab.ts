// Rows of a weight are independent, given H: a slab at a time keeps the kernels' memory small. Part of the method, as
// some solvers stop when a slab as a whole hardly gets better.
export const slabElements = 1 << 24;

/** Rows of a weight that are worked on at a time. */
export const slabRows = (cols: number): number => Math.max(1, Math.floor(slabElements / cols));
