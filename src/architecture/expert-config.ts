import { z } from 'zod';
import { dimension, parseConfig, wrongConfig } from './config.js';
import type { BlockShape, Experts } from './decoder-shape.js';

/** @throws TersorError where a token is to have more experts than there are */
export function checkedExperts(experts: Experts, file: string): Experts {
  if (experts.used > experts.count)
    throw wrongConfig(
      `${experts.used} experts for each token are more than its ${experts.count} experts`,
      file,
    );
  return experts;
}

/** Blocks of which every one has these experts, or those that are named. */
export const withExperts = (
  blocks: readonly BlockShape[],
  experts: Experts,
  has: (block: number) => boolean = () => true,
): BlockShape[] => blocks.map((shape, block) => (has(block) ? { ...shape, experts } : shape));

const ggufKeys = z.object({
  expert_count: dimension,
  expert_used_count: dimension,
  expert_feed_forward_length: dimension.optional(),
  expert_shared_feed_forward_length: dimension.optional(),
});

/** Entries that `ggufExperts` reads. */
export const expertKeys: readonly string[] = Object.keys(ggufKeys.shape);

/**
 * The experts that a GGUF's entries tell of.
 * @param family what llama.cpp takes for granted, and the width of a feed-forward layer, by default that of an expert
 */
export function ggufExperts(
  entries: Readonly<Record<string, unknown>>,
  { normalized, intermediate, gatedShare, file }: GgufExperts,
): Experts {
  const parsed = parseConfig(ggufKeys, entries, file);
  const shared = parsed.expert_shared_feed_forward_length;
  return checkedExperts(
    {
      count: parsed.expert_count,
      used: parsed.expert_used_count,
      intermediate: parsed.expert_feed_forward_length ?? intermediate,
      normalized,
      ...(shared === undefined ? {} : { shared: { intermediate: shared, gated: gatedShare ?? false } }),
    },
    file,
  );
}

interface GgufExperts {
  readonly normalized: boolean;
  readonly intermediate: number;
  readonly gatedShare?: boolean;
  readonly file: string;
}

/** What llama.cpp does with the shares of a token's experts in a family, where a model does otherwise. */
export const sharesObstacle = (isLlamaCpps: boolean): { ggufObstacle?: string } =>
  isLlamaCpps
    ? {}
    : { ggufObstacle: 'llama.cpp adds up the shares of experts in this family as its config.json does not' };
