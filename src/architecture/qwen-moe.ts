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
import { attentionTypes, blocksOf, type Windows, windowsInLlamaCpp, windowsOf } from './windows.js';

const count = z.number().int().min(0);

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1e-6),
  hidden_act: z.literal('silu').default('silu'),
  // Whether there are biases, the tensors tell.
  qkv_bias: z.boolean().nullish(),
  use_sliding_window: z.boolean().nullish(),
  sliding_window: count.nullish(),
  max_window_layers: count.nullish(),
  layer_types: attentionTypes.nullish(),
  moe_intermediate_size: dimension,
  num_experts: dimension.nullish(),
  num_local_experts: dimension.nullish(),
  num_experts_per_tok: dimension,
  norm_topk_prob: z.boolean().default(false),
  decoder_sparse_step: dimension.default(1),
  mlp_only_layers: z.array(count).nullish(),
});

/** Of Qwen2MoeConfig and Qwen3MoeConfig. */
const [defaultMaxWindowLayers, defaultExperts2, defaultExperts3] = [28, 60, 128];

/** Reads the config.json of a Qwen 3 with experts (Qwen team, 2025, arXiv:2505.09388). */
export function qwen3MoeFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const windows = parsed.use_sliding_window ? windowsOf(parsed, () => true, file) : undefined;
  return qwenOf(parsed, {
    modelType: 'qwen3_moe',
    experts: expertsOf(parsed, defaultExperts3),
    windows,
    file,
  });
}

const keys2 = keys.extend({ shared_expert_intermediate_size: dimension });

/** Reads the config.json of a Qwen 1.5 or 2 with experts, of which one is shared by all tokens (Qwen team, 2024). */
export function qwen2MoeFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys2, config, file);
  const from = parsed.max_window_layers ?? defaultMaxWindowLayers;
  const windows = parsed.use_sliding_window ? windowsOf(parsed, (block) => block >= from, file) : undefined;
  const shared = { intermediate: parsed.shared_expert_intermediate_size, gated: true };
  const experts = { ...expertsOf(parsed, defaultExperts2), shared };
  return qwenOf(parsed, { modelType: 'qwen2_moe', experts, windows, file });
}

const expertsOf = (parsed: z.infer<typeof keys>, byDefault: number): Experts => ({
  count: parsed.num_experts ?? parsed.num_local_experts ?? byDefault,
  used: parsed.num_experts_per_tok,
  intermediate: parsed.moe_intermediate_size,
  normalized: parsed.norm_topk_prob,
});

interface QwenMoe {
  readonly modelType: 'qwen2_moe' | 'qwen3_moe';
  readonly experts: Experts;
  readonly windows: Windows | undefined;
  readonly file: string;
}

function qwenOf(parsed: z.infer<typeof keys>, { modelType, experts, windows, file }: QwenMoe): DecoderShape {
  const isSparse = (block: number) =>
    (block + 1) % parsed.decoder_sparse_step === 0 && !parsed.mlp_only_layers?.includes(block);
  const base = decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps });
  const blocks = withExperts(
    blocksOf(base.layers, windows, { rotary: base.rotary }),
    checkedExperts(experts, file),
    isSparse,
  );
  return qwenShape(base, { modelType, blocks, experts });
}

/** Reads the GGUF metadata of a Qwen with experts. */
export function qwenMoeFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { entries, base } = ggufDecoder(metadata, source, expertKeys);
  const modelType = metadata['general.architecture'] === 'qwen2moe' ? 'qwen2_moe' : 'qwen3_moe';
  const experts = ggufExperts(entries, {
    normalized: modelType === 'qwen3_moe',
    intermediate: base.intermediate,
    gatedShare: true,
    file: source.file,
  });
  const blocks = withExperts(blocksOf(base.layers, undefined, { rotary: base.rotary }), experts);
  return qwenShape(base, { modelType, blocks, experts });
}

function qwenShape(
  base: DecoderBase,
  about: Pick<DecoderShape, 'blocks'> & Pick<QwenMoe, 'modelType' | 'experts'>,
): DecoderShape {
  const { modelType, blocks, experts } = about;
  return {
    ...base,
    modelType,
    gguf: modelType === 'qwen3_moe' ? 'qwen3moe' : 'qwen2moe',
    blocks,
    activation: 'silu',
    ...windowsInLlamaCpp(blocks, base.context),
    ...sharesObstacle(experts.normalized === (modelType === 'qwen3_moe')),
    ...(blocks.every((block) => block.experts)
      ? {}
      : { ggufObstacle: 'llama.cpp has experts in all blocks of this family' }),
  };
}
