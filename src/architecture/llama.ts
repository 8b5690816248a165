import { z } from 'zod';
import type { Architecture } from './architecture.js';
import { dimension, parseConfig } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { decoder } from './decoder.js';
import {
  type DecoderBase,
  decoderBase,
  decoderKeys,
  epsilonKey,
  type GgufSource,
  ggufDecoder,
} from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';
import type { Has } from './family.js';
import { ropeConfig } from './rotary-scaling.js';
import { attentionTypes, blocksOf, type Windows, windowsInLlamaCpp, windowsOf } from './windows.js';

/** Llama and those that differ from it in biases, query-key norms and defaults only. */
export const llamaTypes = ['llama', 'mistral', 'qwen2', 'qwen3'] as const;
export type LlamaType = (typeof llamaTypes)[number];

/** llama.cpp's architecture: it rotates neighbouring pairs for `llama`, halves for the Qwens. */
const ggufNames: Record<LlamaType, string> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
};

/** Rotary settings of families that rotate all of a head. */
const wholeHead = ropeConfig.extend({ partial_rotary_factor: z.literal(1).nullish() });

const keys = z.object({
  ...decoderKeys,
  model_type: z.enum(llamaTypes),
  rms_norm_eps: epsilonKey.default(1e-6),
  hidden_act: z.literal('silu').default('silu'),
  partial_rotary_factor: z.literal(1).nullish(),
  rope_scaling: wholeHead.nullish(),
  rope_parameters: wholeHead.nullish(),
  // Of exports before Hugging Face settled on half-split rotation; its own code does not read it.
  rope_interleaved: z.literal(false).nullish(),
});
const mistralKeys = keys.extend({
  sliding_window: dimension.nullish(),
  layer_types: attentionTypes.nullish(),
});
const qwenKeys = mistralKeys.extend({
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().min(0).nullish(),
  // Multimodal rotation, which texts alone do not show.
  use_mrope: z.literal(false).nullish(),
});

/** Of Qwen2Config and Qwen3Config. */
const defaultMaxWindowLayers = 28;

/** Reads the config.json of a Llama (Touvron et al., 2023), Mistral, Qwen 2 or 3. */
export function llamaFromHuggingFace(config: unknown, file: string): DecoderShape {
  const { model_type: type } = parseConfig(keys, config, file);
  const of = (parsed: z.infer<typeof keys>, windows?: Windows) =>
    llamaShape({
      ...decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps }),
      modelType: type,
      windows,
    });
  if (type === 'llama') return of(parseHuggingFace(keys, config, file));
  if (type === 'mistral') {
    const parsed = parseHuggingFace(mistralKeys, config, file);
    return of(
      parsed,
      windowsOf(parsed, () => true, file),
    );
  }
  const parsed = parseHuggingFace(qwenKeys, config, file);
  const from = parsed.max_window_layers ?? defaultMaxWindowLayers;
  const sliding = parsed.use_sliding_window === true;
  return of(parsed, sliding ? windowsOf(parsed, (block) => block >= from, file) : undefined);
}

/** Reads the GGUF metadata of a Llama, Mistral or Qwen. */
export function llamaFromGguf(metadata: Readonly<Record<string, unknown>>, source: GgufSource): DecoderShape {
  const { base } = ggufDecoder(metadata, source);
  return llamaShape({ ...base, modelType: metadata['general.architecture'] as LlamaType });
}

/** Sizes of a Llama whose blocks differ in nothing but, perhaps, their windows. */
export interface LlamaSizes extends DecoderBase {
  readonly modelType: LlamaType;
  readonly windows?: Windows | undefined;
}

export function llamaShape({ layers, rotary, windows, ...sizes }: LlamaSizes): DecoderShape {
  const gguf = ggufNames[sizes.modelType];
  const blocks = blocksOf(layers, windows, { rotary });
  return {
    ...sizes,
    gguf,
    blocks,
    activation: 'silu',
    interleaved: gguf === 'llama',
    ...windowsInLlamaCpp(blocks, sizes.context),
  };
}

/** The architecture of such sizes; heads are as wide as the columns that are rotated. */
export const llama = (sizes: Omit<LlamaSizes, 'headDim'>, has: Has): Architecture =>
  decoder(llamaShape({ headDim: sizes.rotary.headDim, ...sizes }), has);
