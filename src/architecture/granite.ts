import { z } from 'zod';
import { dimension, parseConfig } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import {
  type DecoderBase,
  decoderBase,
  decoderKeys,
  epsilonKey,
  type GgufSource,
  ggufDecoder,
} from './decoder-config.js';
import { f32 } from './decoder-gguf.js';
import type { DecoderShape, Experts } from './decoder-shape.js';
import { checkedExperts, expertKeys, ggufExperts, withExperts } from './expert-config.js';
import { blocksOf } from './windows.js';

const factor = z.number().positive().default(1);

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1e-6),
  hidden_act: z.literal('silu').default('silu'),
  embedding_multiplier: factor,
  attention_multiplier: factor,
  residual_multiplier: factor,
  logits_scaling: factor,
});

/** Reads the config.json of a Granite 3 (IBM, 2024), a Llama with factors at four places. */
export function graniteFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  return graniteShape(decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps }), factorsOf(parsed));
}

const moeKeys = keys.extend({
  num_local_experts: dimension.default(8),
  num_experts_per_tok: dimension.default(2),
});

/** Reads the config.json of a Granite 3 with experts. */
export function graniteMoeFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(moeKeys, config, file);
  const experts = checkedExperts(
    {
      count: parsed.num_local_experts,
      used: parsed.num_experts_per_tok,
      intermediate: parsed.intermediate_size,
      normalized: true,
    },
    file,
  );
  const base = decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps });
  return graniteMoe(graniteShape(base, factorsOf(parsed)), experts);
}

const factorsOf = (parsed: z.infer<typeof keys>): Factors => ({
  embedding: parsed.embedding_multiplier,
  attention: parsed.attention_multiplier,
  residual: parsed.residual_multiplier,
  logits: parsed.logits_scaling,
});

const ggufKeys = z.object({
  logit_scale: z.number().positive(),
  embedding_scale: factor,
  residual_scale: factor,
  'attention.scale': z.number().positive().optional(),
});

/** Reads the GGUF metadata of a Granite, with experts or without. */
export function graniteFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const known = [...Object.keys(ggufKeys.shape), ...expertKeys];
  const { entries, base } = ggufDecoder(metadata, source, known);
  const parsed = parseConfig(ggufKeys, entries, source.file);
  const dense = graniteShape(base, {
    embedding: parsed.embedding_scale,
    attention: parsed['attention.scale'] ?? base.headDim ** -0.5,
    residual: parsed.residual_scale,
    logits: parsed.logit_scale,
  });
  if (metadata['general.architecture'] === 'granite') return dense;
  const { intermediate } = base;
  const experts = ggufExperts(entries, { normalized: true, intermediate, file: source.file });
  return graniteMoe(dense, experts);
}

/** The same with experts in every block. */
function graniteMoe(dense: DecoderShape, experts: Experts): DecoderShape {
  return {
    ...dense,
    modelType: 'granitemoe',
    gguf: 'granitemoe',
    blocks: withExperts(dense.blocks, experts),
    names: {
      roles: {
        ffn_gate_inp: 'block_sparse_moe.router.layer',
        // Names that the parts of its tensors have here (src/checkpoint/experts.ts).
        ffn_gate_exps: 'block_sparse_moe.experts.*.gate_proj',
        ffn_up_exps: 'block_sparse_moe.experts.*.up_proj',
        ffn_down_exps: 'block_sparse_moe.experts.*.down_proj',
      },
    },
  };
}

interface Factors {
  readonly embedding: number;
  readonly attention: number;
  readonly residual: number;
  /** Logits are divided by it. */
  readonly logits: number;
}

function graniteShape(base: DecoderBase, factors: Factors): DecoderShape {
  return {
    ...base,
    modelType: 'granite',
    gguf: 'granite',
    blocks: blocksOf(base.layers, undefined, { rotary: base.rotary }),
    activation: 'silu',
    interleaved: true,
    embeddingScale: factors.embedding,
    attentionScale: factors.attention,
    residualScale: factors.residual,
    logitScale: 1 / factors.logits,
    ggufEntries: {
      embedding_scale: f32(factors.embedding),
      'attention.scale': f32(factors.attention),
      residual_scale: f32(factors.residual),
      logit_scale: f32(factors.logits),
    },
  };
}
