import { z } from 'zod';
import { parseHuggingFace } from './config-keys.js';
import {
  type DecoderBase,
  decoderBase,
  decoderKeys,
  epsilonKey,
  type GgufSource,
  ggufDecoder,
} from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';
import { blocksOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  layer_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('gelu').default('gelu'),
  use_parallel_residual: z.boolean().default(true),
  rotary_pct: z.number().positive().max(1).nullish(),
  rotary_emb_base: z.number().positive().nullish(),
  // Keys that Hugging Face's code of this family does not read.
  num_key_value_heads: z.unknown().optional(),
  classifier_dropout: z.unknown().optional(),
});

/** Reads the config.json of a GPT-NeoX or Pythia (Black et al., 2022, arXiv:2204.06745). */
export function gptNeoxFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const { layer_norm_eps: epsilon, rotary_pct: rotated, rotary_emb_base: theta } = parsed;
  const base = decoderBase(
    { ...parsed, num_key_value_heads: null, rope_theta: parsed.rope_theta ?? theta ?? null },
    { file, epsilon, rotated: rotated ?? 0.25 },
  );
  return gptNeoxShape(base, parsed.use_parallel_residual);
}

/** Reads the GGUF metadata of a GPT-NeoX or Pythia. */
export function gptNeoxFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { base, entries } = ggufDecoder(metadata, source);
  return gptNeoxShape(base, entries.use_parallel_residual !== false);
}

function gptNeoxShape(base: DecoderBase, parallel: boolean): DecoderShape {
  return {
    ...base,
    modelType: 'gpt_neox',
    gguf: 'gptneox',
    blocks: blocksOf(base.layers, undefined, { rotary: base.rotary }),
    activation: 'gelu',
    norm: 'layer',
    ...(parallel ? { parallel: 'two norms' } : {}),
    fusedAttention: 'heads',
    feedForward: 'plain',
    names: {
      embedding: 'gpt_neox.embed_in',
      outputNorm: 'gpt_neox.final_layer_norm',
      head: 'embed_out',
      blocks: 'gpt_neox.layers',
      roles: {
        attn_qkv: 'attention.query_key_value',
        attn_output: 'attention.dense',
        ffn_up: 'mlp.dense_h_to_4h',
        ffn_down: 'mlp.dense_4h_to_h',
      },
    },
    ggufEntries: { use_parallel_residual: { type: 'bool', value: parallel } },
  };
}
