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
import { windowEntries } from './decoder-gguf.js';
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
  rms_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('silu').default('silu'),
  sliding_window: dimension.nullish(),
  // Every n-th block attends to all positions; a text such as LLLG in the first files.
  sliding_window_pattern: z.union([z.number().int().positive(), z.string()]).nullish(),
  layer_types: attentionTypes.nullish(),
});

/** Blocks of the one model with windows that llama.cpp knows. */
const layersOf32B = 64;

/** Reads the config.json of an EXAONE 4 (LG AI Research, 2025, arXiv:2507.11407). */
export function exaone4FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const base = decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps });
  const pattern = parsed.sliding_window_pattern ?? 4;
  const step = typeof pattern === 'string' ? pattern.length : pattern;
  const windows = windowsOf(parsed, allButEvery(step), file);
  return exaone4Shape(base, windows);
}

/** Reads the GGUF metadata of an EXAONE 4. */
export function exaone4FromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { entries, base } = ggufDecoder(metadata, source, [...windowKeys, 'rope.freq_base_swa']);
  const windowed = base.layers === layersOf32B;
  const given = { 'attention.sliding_window': 4096, ...entries };
  const windows = ggufWindows(given, { layers: base.layers, pattern: 4, file: source.file });
  return exaone4Shape(base, windowed ? windows : undefined);
}

function exaone4Shape(base: DecoderBase, windows: Windows | undefined): DecoderShape {
  const { rotary } = base;
  // Where some blocks have windows, only these see positions.
  const blocks = blocksOf(base.layers, windows, windows ? {} : { rotary }, { rotary });
  return {
    ...base,
    modelType: 'exaone4',
    gguf: 'exaone4',
    blocks,
    activation: 'silu',
    norms: 'behind',
    ggufEntries: windowEntries({ blocks }),
    ...(windows && base.layers !== layersOf32B
      ? { ggufObstacle: `llama.cpp has windows in this family only with ${layersOf32B} blocks` }
      : {}),
  };
}
