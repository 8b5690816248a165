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
import { f32, windowEntries } from './decoder-gguf.js';
import type { BlockShape, DecoderShape } from './decoder-shape.js';
import { attentionTypes, ggufWindows, type Windows, windowKeys, windowsOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  layer_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('silu').default('silu'),
  logit_scale: z.number().positive().default(0.0625),
  sliding_window: dimension.default(4096),
  sliding_window_pattern: z.number().int().positive().nullish(),
  _sliding_window_pattern: z.number().int().positive().nullish(),
  layer_types: attentionTypes.nullish(),
  use_embedding_sharing: z.literal(true).nullish(),
  use_gated_activation: z.literal(true).nullish(),
  use_parallel_block: z.literal(true).nullish(),
  use_parallel_embedding: z.boolean().nullish(),
  use_qk_norm: z.literal(false).nullish(),
  position_embedding_type: z.literal('rope_gptj').nullish(),
  order_of_interleaved_layers: z.string().nullish(),
  rotary_pct: z.literal(1).nullish(),
});

/** Reads the config.json of a Command R7B or A (Cohere, 2024): parallel halves of a block, positions in windows only. */
export function cohere2FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const base = decoderBase(parsed, file);
  const pattern = parsed.sliding_window_pattern ?? parsed._sliding_window_pattern ?? 4;
  const windows = windowsOf(parsed, (block) => (block + 1) % pattern !== 0, file);
  return cohere2Shape(base, { epsilon: parsed.layer_norm_eps, windows, logitScale: parsed.logit_scale });
}

/** Reads the GGUF metadata of a Command R7B or A. */
export function cohere2FromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { entries, epsilon, ...base } = ggufDecoder(metadata, source, [
    ...windowKeys,
    'logit_scale',
    'rope.freq_base_swa',
  ]);
  const { logit_scale: logitScale } = parseConfig(
    z.object({ logit_scale: z.number().positive() }),
    entries,
    source.file,
  );
  const windows = ggufWindows(entries, { layers: base.layers, pattern: 4, file: source.file });
  return cohere2Shape(base, { epsilon, windows, logitScale });
}

interface Cohere2 {
  readonly epsilon: number;
  readonly windows: Windows | undefined;
  readonly logitScale: number;
}

function cohere2Shape(base: DecoderBase, { epsilon, windows, logitScale }: Cohere2): DecoderShape {
  const rotary = { ...base.rotary, neighbours: true };
  const blocks = Array.from({ length: base.layers }, (_, block): BlockShape => {
    const window = windows?.[block];
    return window === undefined ? {} : { rotary, window };
  });
  return {
    ...base,
    epsilon,
    modelType: 'cohere2',
    gguf: 'cohere2',
    blocks,
    activation: 'silu',
    norm: 'layer',
    parallel: 'shared norm',
    logitScale,
    ggufEntries: { ...windowEntries({ blocks }), logit_scale: f32(logitScale) },
  };
}
