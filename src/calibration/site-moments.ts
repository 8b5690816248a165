import type { Batch } from '../architecture/architecture.js';
import type { Matrix, Moments } from '../types.js';
import type { ActivationCache, Kept } from './activation-cache.js';
import { createHeldOutCollector, type HeldOutCollector, heldOutRows } from './held-out.js';
import type { MomentPrograms, RowRange } from './moments.js';
import { borrowedWeight, routedRows } from './routed.js';

/** Moments that are whoever is visited's: what is of no more use to them should not stay in memory. */
export interface SiteMoments extends Omit<Moments, 'crossMoments'> {
  crossMoments?: Matrix;
}

/** What waits at a site, of one batch. */
export interface Waiting {
  readonly batch: Batch;
  readonly inputs: Kept;
  /** Of the original model. */
  readonly original?: Kept | undefined;
  /** Share of each token in the site's expert (./routed.ts). */
  readonly shares?: Kept | undefined;
}

export interface SiteOptions {
  readonly width: number;
  readonly holdOut: boolean;
  /** Of the tokens that experts borrow (./routed.ts). */
  readonly stride: number;
  readonly activationCache: ActivationCache;
}

/** Moments of a site from what waits there for the next part. */
export function siteMoments(
  moments: MomentPrograms,
  waiting: readonly Waiting[],
  options: SiteOptions,
): Promise<SiteMoments> {
  return waiting.some(({ shares }) => shares)
    ? expertMoments(moments, waiting, options)
    : denseMoments(moments, waiting, options);
}

async function denseMoments(
  moments: MomentPrograms,
  waiting: readonly Waiting[],
  { width, holdOut, activationCache }: SiteOptions,
): Promise<SiteMoments> {
  const original = waiting.some((each) => each.original);
  const batches = waiting.map(({ batch }) => batch);
  const tokens = batches.reduce((total, { sequences, length }) => total + sequences * length, 0);
  const sums = moments.sums(width, { cross: original, tokens });
  const rows = holdOut ? heldOutRows(batches) : [];
  const heldOut = createHeldOutCollector(rows, width);
  const heldOutOriginal = original ? createHeldOutCollector(rows, width) : undefined;
  for (const [at, { inputs: x, original: y }] of waiting.entries()) {
    const [inputs, originals] = [x.data, y?.data];
    heldOut.take(at, inputs);
    if (originals) heldOutOriginal?.take(at, originals);
    await sums.add(inputs, originals, rows[at]);
    if (x.onDisk) activationCache.give(inputs);
    if (y?.onDisk && originals) activationCache.give(originals);
  }
  return { ...(await sums.mean()), ...withHeldOut(heldOut, heldOutOriginal) };
}

const withHeldOut = (own: HeldOutCollector, original?: HeldOutCollector) =>
  own.tokens > 0 ? { heldOut: { own: own.inputs, ...(original && { original: original.inputs }) } } : {};

/**
 * Moments of an expert's inputs, of the tokens that chose it and of some of its layer's:
 *
 *   H = (n H_e + k H_l) / (n + k)   with n tokens of its own, and k = `borrowedWeight`.
 *
 * H_l is the moment of what the expert gets from tokens that are spread over the text, whether they chose it or not. So an
 * expert that no token chose is compressed for the inputs of its layer, and its last weights for what its own first ones
 * make of these; inner layers of two experts have nothing in common that could be borrowed directly. Cross moments are
 * left out: the tokens of an expert are others in the original model.
 */
async function expertMoments(
  moments: MomentPrograms,
  waiting: readonly Waiting[],
  { width, holdOut, stride }: SiteOptions,
): Promise<SiteMoments> {
  const held = holdOut ? heldOutRows(waiting.map(({ batch }) => batch)) : [];
  const parts = waiting.map(({ inputs, shares }, at) => {
    const rows = routedRows(shares?.data ?? new Float32Array(), stride);
    const without = rowsWithin(rows.tokens, held[at] ?? []);
    return { rows, inputs, without, counts: (row: number) => !isWithin(row, without) };
  });
  const lent = parts.reduce(
    (sum, { rows, counts }) => sum + rows.borrowed.filter((each, row) => each && counts(row)).length,
    0,
  );
  const share = borrowedWeight / Math.max(1, lent);
  const tokens = parts.reduce(
    (sum, { rows, counts }) =>
      rows.weights(share).reduce((total, weight, row) => total + (counts(row) ? weight : 0), sum),
    0,
  );
  const summed = parts.reduce(
    (sum, { rows, counts }) => sum + rows.tokens.filter((_, row) => counts(row)).length,
    0,
  );
  const all = parts.reduce((sum, { rows }) => sum + rows.tokens.length, 0);
  const ranges = parts.map(({ without }) => without);
  const heldOut = createHeldOutCollector(ranges, width);
  const sums = moments.sums(width, { tokens: Math.max(1, all) });
  for (const [at, { rows, inputs, without }] of parts.entries()) {
    const weights = rows.weights(share);
    // A copy, because the rest of the expert goes on with the inputs as they are.
    const data = scaleRows(inputs.data.slice(), width, weights.map(Math.sqrt));
    heldOut.take(at, data);
    // The sums are divided by the number of rows.
    const even = Math.sqrt(summed / Math.max(tokens, 1e-9));
    await sums.add(
      scaleRows(
        data,
        width,
        weights.map(() => even),
      ),
      undefined,
      without,
    );
  }
  const routed = parts.reduce((sum, { rows }) => sum + rows.own, 0);
  const found = { tokens, routed, ...withHeldOut(heldOut) };
  if (summed === 0)
    return { gram: { rows: width, cols: width, data: new Float32Array(width ** 2) }, ...found };
  const { gram, means } = await sums.mean();
  // Means of rows that are not all of one weight would be others.
  return { gram, ...(lent === 0 && { means }), ...found };
}

/** Ranges of tokens as ranges of rows, of which there is one for each of some tokens. */
const rowsWithin = (tokens: readonly number[], ranges: readonly RowRange[]): RowRange[] =>
  ranges.map(({ from, count }) => {
    const before = tokens.filter((token) => token < from).length;
    return { from: before, count: tokens.filter((token) => token < from + count).length - before };
  });

const isWithin = (row: number, ranges: readonly RowRange[]): boolean =>
  ranges.some(({ from, count }) => row >= from && row < from + count);

function scaleRows(data: Float32Array, width: number, factors: Float32Array): Float32Array {
  for (const [row, factor] of factors.entries()) {
    if (factor === 1) continue;
    for (let at = row * width; at < (row + 1) * width; at++) data[at] = factor * (data[at] ?? 0);
  }
  return data;
}
