import { type Architecture, blockTensors, type TensorSpec } from '../architecture/architecture.js';
import type { Hidden } from '../architecture/forward.js';
import type { Moments } from '../types.js';
import type { SiteMoments } from './site-moments.js';
import type { Calibrator, Weights } from './walk.js';

/** Hidden states between two blocks: those that moments are taken of, and the original model's beside them. */
export interface States {
  readonly hidden: readonly Hidden[];
  /** The same text in the original model, where moments are to include cross moments. */
  readonly original?: readonly Hidden[] | undefined;
}

/** What happens at one block. */
export interface BlockVisitor {
  /** By role. What a visit changes here is what the rest of the block computes with. */
  readonly weights: Weights;
  /** Those that the original states meet, where there are such. */
  readonly original?: Weights | undefined;
  /** Layers whose inputs are known, with the moments of these. */
  site(specs: readonly TensorSpec[], moments: SiteMoments): Promise<void>;
  /** Asked before moments are collected: whether these layers are done without, their weights being in place. */
  skip?(specs: readonly TensorSpec[]): Promise<boolean>;
  /** Behind the block: its tensors that no site feeds, such as norms. */
  rest?(specs: readonly TensorSpec[]): Promise<void>;
}

/** What happens on the way through a model, in the order of the methods. */
export interface ModelVisitor {
  /** Embeds the text, after what is to be done with the tensors in front of the blocks. */
  embedding(): Promise<States>;
  block(block: number, states: States): Promise<BlockVisitor>;
  /** @param moments of what the output head multiplies with, given the weights outside the blocks */
  head?(moments: HeadMoments): Promise<void>;
}

export type HeadMoments = (weights: Weights, original?: Weights) => Promise<Moments>;

/**
 * The one way through a model: block after block, each visited at every site (a value that feeds linear layers) with the
 * moments of what arrives there. Only the states between two blocks are held; those that are passed are dropped. Without
 * states (no batches), blocks are visited for their remaining tensors only.
 */
export async function walkModel(
  architecture: Architecture,
  calibrator: Calibrator,
  visitor: ModelVisitor,
): Promise<void> {
  let states = await visitor.embedding();
  for (let block = 0; block < architecture.layers; block++) {
    const visit = await visitor.block(block, states);
    states = await walkBlock(architecture, calibrator, { block, states, visit });
  }
  const { hidden, original } = states;
  await visitor.head?.((weights, originalWeights) =>
    calibrator.head(
      { hidden, weights },
      original && originalWeights && { hidden: original, weights: originalWeights },
    ),
  );
}

async function walkBlock(
  architecture: Architecture,
  calibrator: Calibrator,
  { block, states, visit }: { block: number; states: States; visit: BlockVisitor },
): Promise<States> {
  const left = new Map(blockTensors(architecture, block).map((spec) => [spec.role, spec]));
  const specsOf = (roles: readonly string[]) => roles.flatMap((role) => left.get(role) ?? []);
  const done = (roles: readonly string[]) => {
    for (const role of roles) left.delete(role);
  };
  const { output, original } = await calibrator.walk(
    { block, hidden: states.hidden, weights: visit.weights },
    async (roles, moments) => {
      await visit.site(specsOf(roles), moments);
      done(roles);
    },
    {
      original: states.original && visit.original && { hidden: states.original, weights: visit.original },
      async skip(roles) {
        if (!(await visit.skip?.(specsOf(roles)))) return false;
        done(roles);
        return true;
      },
    },
  );
  await visit.rest?.([...left.values()]);
  return { hidden: output, original };
}
