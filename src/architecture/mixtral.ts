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
import { checkedExperts, expertKeys, ggufExperts, withExperts } from './expert-config.js';
import { blocksOf, type Windows, windowsInLlamaCpp, windowsOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('silu').default('silu'),
  sliding_window: dimension.nullish(),
  num_local_experts: dimension.default(8),
  num_experts_per_tok: dimension.default(2),
});

/** Reads the config.json of a Mixtral (Jiang et al., 2024, arXiv:2401.04088), a Mistral with experts. */
export function mixtralFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const experts = checkedExperts(
    {
      count: parsed.num_local_experts,
      used: parsed.num_experts_per_tok,
      intermediate: parsed.intermediate_size,
      normalized: true,
    },
    file,
  );
  const windows = windowsOf(parsed, () => true, file);
  return mixtralShape(decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps }), experts, windows);
}

/** Reads the metadata of a GGUF of llama.cpp's `llama` that has experts. */
export function mixtralFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { entries, base } = ggufDecoder(metadata, source, expertKeys);
  const { intermediate } = base;
  const experts = ggufExperts(entries, { normalized: true, intermediate, file: source.file });
  return mixtralShape(base, experts);
}

function mixtralShape(base: DecoderBase, experts: Experts, windows?: Windows): DecoderShape {
  const blocks = blocksOf(base.layers, windows, { rotary: base.rotary });
  return {
    ...base,
    modelType: 'mixtral',
    gguf: 'llama',
    blocks: withExperts(blocks, experts),
    activation: 'silu',
    interleaved: true,
    names: {
      roles: {
        ffn_gate_inp: 'block_sparse_moe.gate',
        ffn_gate_exps: 'block_sparse_moe.experts.*.w1',
        ffn_up_exps: 'block_sparse_moe.experts.*.w3',
        ffn_down_exps: 'block_sparse_moe.experts.*.w2',
      },
    },
    ...windowsInLlamaCpp(blocks, base.context),
  };
}
