import type { Batch } from '../architecture/architecture.js';
import type { Matrix, Moments } from '../types.js';
import type { ActivationCache, Kept } from './activation-cache.js';
import { createHeldOutCollector, type HeldOutCollector, heldOutRows, type Range } from './held-out.js';
import type { MomentSums } from './moments.js';
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
  sums: MomentSums,
  waiting: readonly Waiting[],
  options: SiteOptions,
): Promise<SiteMoments> {
  return waiting.some(({ shares }) => shares)
    ? expertMoments(sums, waiting, options)
    : denseMoments(sums, waiting, options);
}

async function denseMoments(
  sums: MomentSums,
  waiting: readonly Waiting[],
  { width, holdOut, activationCache }: SiteOptions,
): Promise<SiteMoments> {
  const original = waiting.some((each) => each.original);
  const [gram, cross] = [sums.sum(width), original ? sums.sum(width) : undefined];
  const [mean, originalMean] = [sums.vector(width), original ? sums.vector(width) : undefined];
  const rows = holdOut ? heldOutRows(waiting.map(({ batch }) => batch)) : [];
  const heldOut = createHeldOutCollector(rows, width);
  const heldOutOriginal = original ? createHeldOutCollector(rows, width) : undefined;
  let tokens = -heldOut.tokens;
  for (const [at, { batch, inputs: x, original: y }] of waiting.entries()) {
    const [inputs, originals] = [x.data, y?.data as Float32Array];
    const given = [heldOut.take(at, inputs), heldOutOriginal?.take(at, originals)];
    for (const { clear } of given.flatMap((each) => each ?? [])) clear();
    await gram.add(inputs, inputs);
    await cross?.add(originals, inputs);
    await mean.add(inputs);
    await originalMean?.add(originals);
    for (const { restore } of given.flatMap((each) => each ?? [])) restore();
    if (x.onDisk) activationCache.give(inputs);
    if (y?.onDisk) activationCache.give(originals);
    tokens += batch.sequences * batch.length;
  }
  const average = mean.mean(tokens);
  const second = gram.mean(tokens);
  const crossMoments = cross && (await sums.subtract(cross.mean(tokens), second));
  return {
    gram: second,
    means: { original: originalMean?.mean(tokens) ?? average, own: average },
    tokens,
    ...(crossMoments && { crossMoments }),
    ...withHeldOut(heldOut, heldOutOriginal),
  };
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
  sums: MomentSums,
  waiting: readonly Waiting[],
  { width, holdOut, stride }: SiteOptions,
): Promise<SiteMoments> {
  const held = holdOut ? heldOutRows(waiting.map(({ batch }) => batch)) : [];
  const parts = waiting.map(({ inputs, shares }, at) => {
    const rows = routedRows(shares?.data ?? new Float32Array(), stride);
    return { rows, inputs, held: rowsWithin(rows.tokens, held[at] ?? []) };
  });
  const summed = parts.map(({ rows, held: out }) => rows.tokens.map((_, row) => !isWithin(row, out)));
  const lent = parts.reduce(
    (sum, { rows }, at) => sum + rows.borrowed.filter((each, row) => each && summed[at]?.[row]).length,
    0,
  );
  const heldOut = createHeldOutCollector(
    parts.map((part) => part.held),
    width,
  );
  const gram = sums.sum(width, 'few rows');
  const mean = sums.vector(width, 'few rows');
  let tokens = 0;
  for (const [at, { rows, inputs }] of parts.entries()) {
    const weights = rows.weights(borrowedWeight / Math.max(1, lent));
    const roots = weights.map(Math.sqrt);
    // A copy, because the rest of the expert goes on with the inputs as they are.
    const scaled = scaleRows(inputs.data.slice(), width, roots);
    heldOut.take(at, scaled).clear();
    await gram.add(scaled, scaled);
    await mean.add(scaleRows(scaled, width, roots));
    tokens += weights.reduce((sum, weight, row) => sum + (summed[at]?.[row] ? weight : 0), 0);
  }
  const average = mean.mean(Math.max(tokens, 1));
  return {
    gram: gram.mean(Math.max(tokens, 1)),
    means: { original: average, own: average },
    tokens,
    routed: parts.reduce((sum, { rows }) => sum + rows.own, 0),
    ...withHeldOut(heldOut),
  };
}

/** Ranges of tokens as ranges of rows, of which there is one for each of some tokens. */
const rowsWithin = (tokens: readonly number[], ranges: readonly Range[]): Range[] =>
  ranges.map(({ from, count }) => {
    const before = tokens.filter((token) => token < from).length;
    return { from: before, count: tokens.filter((token) => token < from + count).length - before };
  });

const isWithin = (row: number, ranges: readonly Range[]): boolean =>
  ranges.some(({ from, count }) => row >= from && row < from + count);

function scaleRows(data: Float32Array, width: number, factors: Float32Array): Float32Array {
  for (const [row, factor] of factors.entries()) {
    if (factor === 1) continue;
    for (let at = row * width; at < (row + 1) * width; at++) data[at] = factor * (data[at] ?? 0);
  }
  return data;
}
