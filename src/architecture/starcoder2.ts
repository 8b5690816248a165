import { z } from 'zod';
import { dimension } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { type DecoderBase, decoderBase, decoderKeys, epsilonKey } from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';
import { blocksOf, type Windows, windowsInLlamaCpp, windowsOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  norm_epsilon: epsilonKey.default(1e-5),
  hidden_act: z.literal('gelu_pytorch_tanh').default('gelu_pytorch_tanh'),
  sliding_window: dimension.nullish(),
  embedding_dropout: z.number().nullish(),
  residual_dropout: z.number().nullish(),
  mlp_type: z.literal('default').nullish(),
  norm_type: z.literal('layer_norm').nullish(),
  // Whether there are biases, the tensors tell.
  use_bias: z.boolean().nullish(),
});

/** Reads the config.json of a StarCoder 2 (Lozhkov et al., 2024, arXiv:2402.19173). */
export function starcoder2FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const base = decoderBase(parsed, { file, epsilon: parsed.norm_epsilon });
  return starcoder2Shape(
    base,
    windowsOf(parsed, () => true, file),
  );
}

/** A StarCoder 2 of such sizes; llama.cpp attends to all positions. */
export function starcoder2Shape(base: DecoderBase, windows?: Windows): DecoderShape {
  const blocks = blocksOf(base.layers, windows, { rotary: base.rotary });
  return {
    ...base,
    modelType: 'starcoder2',
    gguf: 'starcoder2',
    blocks,
    activation: 'geluTanh',
    norm: 'layer',
    feedForward: 'plain',
    names: { roles: { ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' } },
    ...windowsInLlamaCpp(blocks, base.context),
  };
}
