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
import type { BlockShape, DecoderShape } from './decoder-shape.js';
import { allButEvery, attentionTypes, windowsOf } from './windows.js';

/** Every fourth block sees no positions, unless the configuration lists others; llama.cpp knows no other step. */
const defaultStep = 4;

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1e-6),
  hidden_act: z.literal('silu').default('silu'),
  // 1 for blocks with rotary positions
  no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullish(),
  no_rope_layer_interval: z.number().int().positive().default(defaultStep),
  sliding_window: dimension.nullish(),
  use_sliding_window: z.boolean().nullish(),
  layer_types: attentionTypes.nullish(),
});

/** Reads the config.json of a SmolLM 3 (Hugging Face, 2025): a Llama with blocks that see no positions. */
export function smollm3FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const base = decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps });
  const listed = parsed.no_rope_layers;
  const sees = (block: number) =>
    listed ? listed[block] !== 0 : allButEvery(parsed.no_rope_layer_interval)(block);
  const windows = parsed.use_sliding_window ? windowsOf(parsed, () => false, file) : undefined;
  return smollm3Shape(base, (block) => ({
    ...(sees(block) ? { rotary: base.rotary } : {}),
    ...(windows?.[block] === undefined ? {} : { window: windows[block] }),
  }));
}

/** Reads the GGUF metadata of a SmolLM 3. */
export function smollm3FromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { base } = ggufDecoder(metadata, source);
  return smollm3Shape(base, (block) => (allButEvery(defaultStep)(block) ? { rotary: base.rotary } : {}));
}

function smollm3Shape(base: DecoderBase, block: (index: number) => BlockShape): DecoderShape {
  const blocks = Array.from({ length: base.layers }, (_, index) => block(index));
  const usual = blocks.every(({ rotary, window }, at) => !rotary !== allButEvery(defaultStep)(at) && !window);
  return {
    ...base,
    modelType: 'smollm3',
    gguf: 'smollm3',
    blocks,
    activation: 'silu',
    interleaved: true,
    ...(usual
      ? {}
      : {
          ggufObstacle:
            'llama.cpp leaves positions out in every fourth block of this family and nowhere else',
        }),
  };
}
