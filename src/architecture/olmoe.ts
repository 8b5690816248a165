import { z } from 'zod';
import { dimension } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import {
  type DecoderBase,
  decoderBase,
  decoderKeys,
  epsilonKey,
  type GgufSource,
  ggufDecoder,
} from './decoder-config.js';
import type { DecoderShape, Experts } from './decoder-shape.js';
import { checkedExperts, expertKeys, ggufExperts, sharesObstacle, withExperts } from './expert-config.js';
import { blocksOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('silu').default('silu'),
  clip_qkv: z.null().default(null),
  num_experts: dimension.default(64),
  num_experts_per_tok: dimension.default(8),
  norm_topk_prob: z.boolean().default(false),
});

/** Reads the config.json of an OLMoE (Muennighoff et al., 2024, arXiv:2409.02060). */
export function olmoeFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const experts = checkedExperts(
    {
      count: parsed.num_experts,
      used: parsed.num_experts_per_tok,
      intermediate: parsed.intermediate_size,
      normalized: parsed.norm_topk_prob,
    },
    file,
  );
  return olmoeShape(decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps }), experts);
}

/** Reads the GGUF metadata of an OLMoE. */
export function olmoeFromGguf(metadata: Readonly<Record<string, unknown>>, source: GgufSource): DecoderShape {
  const { entries, base } = ggufDecoder(metadata, source, expertKeys);
  const { intermediate } = base;
  return olmoeShape(base, ggufExperts(entries, { normalized: false, intermediate, file: source.file }));
}

function olmoeShape(base: DecoderBase, experts: Experts): DecoderShape {
  return {
    ...base,
    modelType: 'olmoe',
    gguf: 'olmoe',
    blocks: withExperts(blocksOf(base.layers, undefined, { rotary: base.rotary }), experts),
    activation: 'silu',
    wideHeadNorms: true,
    ...sharesObstacle(!experts.normalized),
    ...(base.kvHeads === base.heads
      ? {}
      : { ggufObstacle: 'llama.cpp has as many heads of keys as of queries in this family' }),
  };
}
