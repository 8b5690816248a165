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
import type { DecoderShape } from './decoder-shape.js';
import {
  allButEvery,
  attentionTypes,
  blocksOf,
  ggufWindows,
  type Windows,
  windowKeys,
  windowsOf,
} from './windows.js';

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
  order_of_interleaved_layers: z.literal('local_attn_first').nullish(),
  rotary_pct: z.literal(1).nullish(),
});

/** Reads the config.json of a Command R7B or A (Cohere, 2024): parallel halves of a block, positions in windows only. */
export function cohere2FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const base = decoderBase(parsed, { file, epsilon: parsed.layer_norm_eps });
  const pattern = parsed.sliding_window_pattern ?? parsed._sliding_window_pattern ?? 4;
  const windows = windowsOf(parsed, allButEvery(pattern), file);
  return cohere2Shape(base, { windows, logitScale: parsed.logit_scale });
}

/** Reads the GGUF metadata of a Command R7B or A. */
export function cohere2FromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { entries, base } = ggufDecoder(metadata, source, [
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
  return cohere2Shape(base, { windows, logitScale });
}

interface Cohere2 {
  readonly windows: Windows | undefined;
  readonly logitScale: number;
}

function cohere2Shape(base: DecoderBase, { windows, logitScale }: Cohere2): DecoderShape {
  const blocks = blocksOf(base.layers, windows, {}, { rotary: { ...base.rotary, neighbours: true } });
  return {
    ...base,
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
