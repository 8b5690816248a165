import { type Architecture, type Batch, blockTensors } from '../architecture/architecture.js';
import { elements } from '../graph/ops.js';
import { topological } from '../graph/value.js';
import { workSpace } from '../graph/work-space.js';
import { type Segment, segments } from './segments.js';

/** What a walk takes. */
export interface Footprint {
  /** Floats per token in the activation cache, at most, with the idle arrays that it keeps for later parts. */
  readonly cachedFloats: number;
  /** Inputs of each site, and the layers that take them in. */
  readonly sites: readonly { readonly width: number; readonly roles: readonly string[] }[];
  /** Floats of onnxruntime's own arrays, of all parts together: none gives its memory back before the end. */
  readonly workSpace: number;
  /** Elements of the weights that a part needs, at most. */
  readonly weights: number;
}

/** @returns the footprint of one block for batches of this size, the same for all blocks of its kind */
export function footprint(architecture: Architecture, block: number, batch: Batch): Footprint {
  const parts = segments(architecture, block, batch);
  const weights = new Set(
    blockTensors(architecture, block)
      .filter(({ kind }) => kind === 'linear')
      .map(({ role }) => role),
  );
  const weightsOf = ({ fresh }: Segment) =>
    topological(Object.values(fresh))
      .filter(({ op, name = '' }) => op === 'input' && weights.has(name))
      .reduce((sum, { shape }) => sum + elements(shape), 0);
  // An array is used again for any other of its length.
  const most = new Map<number, number>();
  for (const { carriedWidths } of parts)
    for (const width of carriedWidths)
      most.set(
        width,
        Math.max(most.get(width) ?? 0, carriedWidths.filter((other) => other === width).length),
      );
  return {
    cachedFloats: [...most].reduce((sum, [width, count]) => sum + width * count, 0),
    sites: parts.filter(({ roles }) => roles.length > 0).map(({ width, roles }) => ({ width, roles })),
    workSpace: parts.reduce((sum, { fresh }) => sum + workSpace(Object.values(fresh)), 0),
    weights: Math.max(...parts.map(weightsOf)),
  };
}
