import type { Architecture, Batch } from '../architecture/architecture.js';
import * as g from '../graph/build.js';
import { elements } from '../graph/ops.js';
import { frontier, substitute } from '../graph/rewrite.js';
import { topological, type Value } from '../graph/value.js';
import { rowsOf, withBorrowedTokens } from './routed.js';

/** Names of arrays that enter and leave a block. */
export const [entrance, exit] = ['hidden', 'exit'] as const;

/** A part of a block: from one site (or the block's input) to the next (or the block's output). */
export interface Segment {
  /** Weights that take in the site's activations; none at the block's output. */
  readonly roles: readonly string[];
  /** Name of the site's activations, tokens × width. */
  readonly site: string;
  readonly width: number;
  /** Name of the array that tells which tokens the site's activations are of, where they are an expert's (./routed.ts). */
  readonly shares?: string;
  /** Values that this part computes for later parts. */
  readonly fresh: Readonly<Record<string, Value>>;
  /** Names of all arrays that later parts need. */
  readonly carried: readonly string[];
  /** Floats per token of each of those. */
  readonly carriedWidths: readonly number[];
}

export function freshOf(segment: Segment | undefined): Readonly<Record<string, Value>> {
  if (!segment) throw new Error('the block has fewer parts for one batch than for another');
  return segment.fresh;
}

/**
 * Those of one block, in the order in which it computes them.
 * @param stride of the tokens that experts borrow
 */
export function segments(architecture: Architecture, block: number, batch: Batch, stride = 1): Segment[] {
  const hidden = g.input(entrance, [batch.sequences * batch.length, architecture.hidden]);
  const output = withBorrowedTokens(architecture.block(block, hidden, batch), stride);
  const names = new Map<Value, string>([
    [hidden, entrance],
    [output, exit],
  ]);
  /** Values of earlier parts, as inputs of later ones. */
  const known = new Map([[hidden, hidden]]);
  const reached: Value[] = [];
  return [...findSites(output), [output, []] as const].map(([value, roles]) => {
    reached.push(value);
    const kept = frontier(output, reached, hidden);
    const fresh: Record<string, Value> = {};
    for (const each of kept.filter((candidate) => !known.has(candidate))) {
      const name = names.get(each) ?? `kept:${names.size}`;
      names.set(each, name);
      fresh[name] = substitute(each, known);
    }
    for (const each of kept) if (!known.has(each)) known.set(each, inputLike(each, names.get(each) ?? ''));
    const shares = names.get(rowsOf(value) ?? value);
    return {
      ...(value.bounded && shares !== undefined ? { shares } : {}),
      roles,
      site: names.get(value) ?? '',
      width: value.shape[1] ?? 0,
      fresh,
      carried: kept.map((each) => names.get(each) ?? ''),
      carriedWidths: kept.map(({ shape }) => elements(shape) / (batch.sequences * batch.length)),
    };
  });
}

const inputLike = ({ bounded, shape }: Value, name: string): Value =>
  bounded ? g.boundedInput(name, shape) : g.input(name, shape);

/** From the last block's outputs to what the head multiplies with; nothing comes after it. */
export function headSegment(architecture: Architecture, batch: Batch): Segment {
  const hidden = g.input(entrance, [batch.sequences * batch.length, architecture.hidden]);
  const [found] = findSites(architecture.head(hidden));
  if (!found) throw new Error('the head has no linear layer');
  const [value, roles] = found;
  const width = value.shape[1] ?? 0;
  return { roles, site: 'head', width, fresh: { head: value }, carried: ['head'], carriedWidths: [width] };
}

/** Values that feed linear layers, in the order in which the block reaches them, with the weights' names. */
export function findSites(output: Value): [Value, string[]][] {
  const sites = new Map<Value, string[]>();
  for (const { op, inputs } of topological([output])) {
    const [x, weight] = inputs;
    if (op !== 'linear' || !x || weight?.name === undefined) continue;
    sites.set(x, [...(sites.get(x) ?? []), weight.name]);
  }
  return [...sites];
}
