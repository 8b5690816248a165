/** Options of every solver that descends column by column. */
export interface DescentOptions {
  /** The solver whose result is the start. */
  readonly start: 'gptq' | 'rtn';
  /** Its scales: those that minimise the error, or from the smallest and largest weight of each group, as published. */
  readonly scales: 'fitted' | 'range';
  /** At most so many sweeps over all columns. */
  readonly sweeps: number;
  /** The descent ends when a sweep lowers the loss by less than this share. */
  readonly tolerance: number;
  /** Which column moves next: all in turn, or in every row the one that lowers the loss most. */
  readonly rule: 'cyclic' | 'greedy';
  /** Passes over a block of columns before the next block. */
  readonly passes: number;
  /** Added to the diagonal of H, in units of its mean. */
  readonly damping: number;
  /** How often every column is part of a window, a random set of columns that is solved anew in each sweep. */
  readonly windows: number;
  readonly windowSize: number;
  /** How far weights move against the loss in annealed sweeps, in units of the row's loss per column; 0: none. */
  readonly temperature: number;
  /** Annealed sweeps, behind the first of the others; they get ten times cooler. */
  readonly annealingSweeps: number;
  /** Noisy passes over a block in each of them. */
  readonly annealingPasses: number;
  /** Columns per matrix product, at most those of a block; changes speed and memory, not the result. */
  readonly blockSize: number;
}

export const descentDefaults: DescentOptions = {
  start: 'gptq',
  scales: 'fitted',
  sweeps: 8,
  tolerance: 1e-3,
  rule: 'cyclic',
  passes: 3,
  damping: 0.05,
  windows: 8,
  windowSize: 64,
  temperature: 1,
  annealingSweeps: 8,
  annealingPasses: 8,
  blockSize: 256,
};

/** Options of a descent with what its kind of descent adds. */
export interface DescentPlan extends DescentOptions {
  readonly refits: number;
  readonly trials: number;
}
