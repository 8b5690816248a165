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
import type { Rotary } from './rotary.js';
import { ropeConfig, rotaryOf, theta } from './rotary-scaling.js';
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
  clip_qkv: z.null().default(null),
});

const olmo3Keys = keys.extend({
  sliding_window: dimension.nullish(),
  layer_types: attentionTypes.nullish(),
  // transformers 5: settings of either kind of block
  rope_parameters: z
    .union([z.object({ full_attention: ropeConfig, sliding_attention: ropeConfig }), ropeConfig])
    .nullish(),
});

/** What OLMo 2 and 3 do otherwise than Llama: norms behind the layers, norms over all queries and keys. */
const olmo = {
  gguf: 'olmo2',
  activation: 'silu',
  norms: 'behind',
  wideHeadNorms: true,
} as const;

/** Reads the config.json of an OLMo 2 (OLMo team, 2024, arXiv:2501.00656). */
export function olmo2FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const base = decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps });
  return olmo3Shape(base, { windows: undefined, sliding: base.rotary });
}

/** Reads the GGUF metadata of an OLMo 2, or of a 3, which is one with windows. */
export function olmoFromGguf(metadata: Readonly<Record<string, unknown>>, source: GgufSource): DecoderShape {
  const { entries, base } = ggufDecoder(metadata, source, [...windowKeys, 'rope.freq_base_swa']);
  const { headDim, theta: full } = base.rotary;
  const schema = z.object({ 'rope.freq_base_swa': theta.default(full) });
  const sliding = { headDim, theta: parseConfig(schema, entries, source.file)['rope.freq_base_swa'] };
  const windows = ggufWindows(entries, { layers: base.layers, pattern: 4, file: source.file });
  return olmo3Shape(base, { windows, sliding });
}

interface Olmo3 {
  readonly windows: Windows | undefined;
  readonly sliding: Rotary;
}

function olmo3Shape(base: DecoderBase, { windows, sliding }: Olmo3): DecoderShape {
  const { rotary } = base;
  const blocks = blocksOf(base.layers, windows, { rotary }, { rotary: sliding });
  const windowed = blocks.some(({ window }) => window !== undefined);
  return {
    ...base,
    ...olmo,
    modelType: windowed ? 'olmo3' : 'olmo2',
    blocks,
    ggufEntries: {
      ...rotary.ggufEntries,
      ...windowEntries({ blocks }),
      'rope.freq_base': f32(rotary.theta),
      ...(windowed ? { 'rope.freq_base_swa': f32(sliding.theta) } : {}),
    },
  };
}

/** Reads the config.json of an OLMo 3: windows in three of four blocks, where rotary positions are never scaled. */
export function olmo3FromHuggingFace(config: unknown, file: string): DecoderShape {
  const { rope_parameters: rope, ...parsed } = parseHuggingFace(olmo3Keys, config, file);
  const byKind = rope && 'full_attention' in rope && 'sliding_attention' in rope;
  const of = (kind: 'full_attention' | 'sliding_attention') =>
    (byKind ? rope[kind] : (rope ?? parsed.rope_scaling ?? {})) as z.infer<typeof ropeConfig>;
  const base = decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps, rope: of('full_attention') });
  const windows = windowsOf(parsed, allButEvery(4), file);
  const { headDim, theta: full } = base.rotary;
  const about = { context: base.context, file };
  const sliding = byKind
    ? rotaryOf({ headDim, theta: of('sliding_attention').rope_theta ?? full }, of('sliding_attention'), about)
    : { headDim, theta: full };
  return olmo3Shape(base, { windows, sliding });
}
