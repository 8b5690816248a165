import type { Batch } from '../architecture/architecture.js';
import type { Matrix } from '../types.js';
import type { RowRange } from './moments.js';

/** One token in so many is held out. */
const oneIn = 8;
/** Of longer texts a smaller share is held out: about so many tokens. */
export const mostHeldOut = 1024;
/** Of tokens that are held out so many are kept: the shrinkage that they choose is that of 2,048 within 0.1 % of the loss. */
export const mostKept = 512;
/** Tokens are chosen by multiples of it, which have no period that first tokens of sequences could share. */
const golden = (Math.sqrt(5) - 1) / 2;
/** Of fewer sequences none can be done without: the end of each is held out. */
const fewestSequences = 4;

/**
 * Which rows of each batch stay out of second moments. Whole sequences, spread over the text, because neighbours in a
 * sequence are alike, so that one says too little about what the moments of the other miss.
 */
export function heldOutRows(batches: readonly Batch[]): readonly (readonly RowRange[])[] {
  const sequences = batches.reduce((sum, batch) => sum + batch.sequences, 0);
  const tokens = batches.reduce((sum, batch) => sum + batch.sequences * batch.length, 0);
  const count = Math.max(1, Math.floor(sequences / Math.max(oneIn, Math.ceil(tokens / mostHeldOut))));
  const chosen = new Set(
    Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * sequences) / count)),
  );
  let first = 0;
  return batches.map(({ sequences: own, length }) => {
    const start = first;
    first += own;
    const all = Array.from({ length: own }, (_, i) => ({ from: i * length, count: length }));
    if (sequences >= fewestSequences) return all.filter((_, i) => chosen.has(start + i));
    const end = Math.floor(length / oneIn);
    return end > 0 ? all.map(({ from }) => ({ from: from + length - end, count: end })) : [];
  });
}

/** Collects the inputs of one site that are held out. */
export interface HeldOutCollector {
  /** Rows that are held out. */
  readonly tokens: number;
  /** To be called for all batches in their order. */
  take(batch: number, data: Float32Array): void;
  /** Of the rows that are held out those that are kept. */
  readonly inputs: Matrix;
}

export function createHeldOutCollector(
  rows: readonly (readonly RowRange[])[],
  width: number,
): HeldOutCollector {
  const tokens = rows.flat().reduce((sum, { count }) => sum + count, 0);
  const keeps = (token: number) => tokens <= mostKept || (token * golden) % 1 < mostKept / tokens;
  const kept = Array.from({ length: tokens }, (_, token) => token).filter(keeps).length;
  const inputs = { rows: kept, cols: width, data: new Float32Array(kept * width) };
  let [seen, filled] = [0, 0];
  return {
    tokens,
    inputs,
    take(batch, data) {
      for (const { from, count } of rows[batch] ?? [])
        for (let row = from; row < from + count; row++) {
          if (!keeps(seen++)) continue;
          inputs.data.set(data.subarray(row * width, (row + 1) * width), filled);
          filled += width;
        }
    },
  };
}
