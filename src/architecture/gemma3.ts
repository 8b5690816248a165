import { z } from 'zod';
import { blockCount, dimension, parseConfig, shared } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import type { BlockShape, DecoderShape } from './decoder-shape.js';
import { ggufEntriesOf } from './gguf-entries.js';
import type { Rotary } from './rotary.js';
import { ropeConfig, rotaryFactors, theta } from './rotary-scaling.js';
import { attentionTypes, windowsOf } from './windows.js';

const huggingfaceConfig = z.object({
  num_hidden_layers: blockCount,
  hidden_size: dimension,
  intermediate_size: dimension,
  num_attention_heads: dimension,
  num_key_value_heads: dimension,
  head_dim: dimension.default(256),
  vocab_size: dimension,
  max_position_embeddings: dimension.default(131072),
  rms_norm_eps: z.number().positive().default(1e-6),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: dimension.nullish(),
  layer_types: attentionTypes.nullish(),
  // Every how manieth block attends to all positions, before transformers listed them.
  sliding_window_pattern: z.number().int().positive().nullish(),
  _sliding_window_pattern: z.number().int().positive().nullish(),
  rope_theta: theta.nullish(),
  rope_local_base_freq: theta.nullish(),
  rope_scaling: ropeConfig.nullish(),
  // transformers 5: settings of either kind of block
  rope_parameters: z.object({ full_attention: ropeConfig, sliding_attention: ropeConfig }).nullish(),
  hidden_activation: z.literal('gelu_pytorch_tanh').default('gelu_pytorch_tanh'),
  hidden_act: z.literal('gelu_pytorch_tanh').nullish(),
  attention_bias: z.literal(false).default(false),
  attn_logit_softcapping: z.null().default(null),
  final_logit_softcapping: z.null().default(null),
  use_bidirectional_attention: z.literal(false).nullish(),
});

/** Bases of rotary frequencies, and every how manieth block attends to all positions, unless a configuration says otherwise. */
const [fullTheta, slidingTheta, defaultPattern] = [1e6, 1e4, 6];

/** Reads the config.json of a Gemma 3 for text (`gemma3_text`). */
export function gemma3FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(huggingfaceConfig, config, file);
  const { head_dim: headDim, rope_parameters: rope } = parsed;
  const pattern = parsed.sliding_window_pattern ?? parsed._sliding_window_pattern ?? defaultPattern;
  const windows = windowsOf(parsed, (block) => (block + 1) % pattern !== 0, file) ?? [];
  const rotary = (base: number, scaling: Record<string, unknown>): Rotary => {
    const plain = { headDim, theta: base };
    const factors = rotaryFactors(plain, scaling, file);
    return factors ? { ...plain, factors } : plain;
  };
  const full = rope?.full_attention ?? parsed.rope_scaling ?? {};
  const sliding = rope?.sliding_attention ?? {};
  return gemma3Shape(
    {
      layers: parsed.num_hidden_layers,
      hidden: parsed.hidden_size,
      intermediate: parsed.intermediate_size,
      heads: parsed.num_attention_heads,
      kvHeads: parsed.num_key_value_heads,
      headDim,
      vocabulary: parsed.vocab_size,
      context: parsed.max_position_embeddings,
      epsilon: parsed.rms_norm_eps,
      windows,
      full: rotary(parsed.rope_theta ?? full.rope_theta ?? fullTheta, full),
      sliding: rotary(parsed.rope_local_base_freq ?? sliding.rope_theta ?? slidingTheta, sliding),
      queryScalar: parsed.query_pre_attn_scalar,
      // rotaryFactors has checked it; of other kinds of scaling a GGUF of this family knows nothing.
      linearFactor: (full.rope_type ?? full.type) === 'linear' ? Number(full.factor) : undefined,
    },
    file,
  );
}

const ggufConfig = z.object({
  block_count: blockCount,
  embedding_length: dimension,
  feed_forward_length: dimension,
  context_length: dimension,
  'attention.head_count': dimension,
  'attention.head_count_kv': dimension,
  'attention.key_length': dimension.default(256),
  'attention.layer_norm_rms_epsilon': z.number().positive(),
  'attention.sliding_window': dimension.optional(),
  'attention.sliding_window_pattern': z
    .union([z.number().int().positive(), z.array(z.union([z.boolean(), z.number()]))])
    .default(defaultPattern),
  'rope.freq_base': theta.default(fullTheta),
  'rope.freq_base_swa': theta.default(slidingTheta),
  'rope.scaling.type': z.enum(['none', 'linear']).optional(),
  'rope.scaling.factor': z.number().positive().optional(),
  final_logit_softcapping: z.literal(0).optional(),
});

/** Reads the GGUF metadata of a Gemma 3. */
export function gemma3FromGguf(
  metadata: Readonly<Record<string, unknown>>,
  vocabulary: number,
  file: string,
): DecoderShape {
  const parsed = parseConfig(ggufConfig, ggufEntriesOf(metadata, 'gemma3'), file);
  const layers = parsed.block_count;
  const headDim = parsed['attention.key_length'];
  const pattern = parsed['attention.sliding_window_pattern'];
  const isSliding = (block: number) =>
    typeof pattern === 'number' ? (block + 1) % pattern !== 0 : Boolean(pattern[block]);
  const factor = parsed['rope.scaling.type'] === 'linear' ? parsed['rope.scaling.factor'] : undefined;
  const full = { headDim, theta: parsed['rope.freq_base'] };
  return gemma3Shape(
    {
      layers,
      hidden: parsed.embedding_length,
      intermediate: parsed.feed_forward_length,
      heads: parsed['attention.head_count'],
      kvHeads: parsed['attention.head_count_kv'],
      headDim,
      vocabulary,
      context: parsed.context_length,
      epsilon: parsed['attention.layer_norm_rms_epsilon'],
      windows: Array.from({ length: layers }, (_, block) =>
        isSliding(block) ? parsed['attention.sliding_window'] : undefined,
      ),
      full: factor ? { ...full, factors: new Float32Array(headDim / 2).fill(factor) } : full,
      sliding: { headDim, theta: parsed['rope.freq_base_swa'] },
      linearFactor: factor,
    },
    file,
  );
}

interface Gemma3 extends Omit<DecoderShape, 'modelType' | 'gguf' | 'blocks' | 'activation'> {
  readonly layers: number;
  readonly windows: readonly (number | undefined)[];
  /** Of blocks that attend to all positions, and of those that attend to a window. */
  readonly full: Rotary;
  readonly sliding: Rotary;
  /** Scores are scaled by its root; the factor is part of the weights in a GGUF. */
  readonly queryScalar?: number;
  /** Of the positions, in blocks that attend to all of them. */
  readonly linearFactor?: number | undefined;
}

/** Layers of the 27 B model, whose scores llama.cpp scales otherwise. */
const layersOf27B = 62;

function gemma3Shape(
  { layers, windows, full, sliding, queryScalar, linearFactor: factor, ...rest }: Gemma3,
  file: string,
): DecoderShape {
  const { hidden, heads, headDim } = rest;
  shared(heads, 'attention heads', rest.kvHeads, 'heads of keys and values', file);
  shared(headDim, 'columns of a head', 2, 'halves', file);
  // What llama.cpp scales scores by; any other scale is part of the norm of queries.
  const scaledBy = layers === layersOf27B ? hidden / heads : headDim;
  const blocks = Array.from({ length: layers }, (_, block): BlockShape => {
    const window = windows[block];
    return window === undefined ? { rotary: full } : { rotary: sliding, window };
  });
  const window = blocks.find((block) => block.window !== undefined)?.window;
  return {
    ...rest,
    modelType: 'gemma3_text',
    gguf: 'gemma3',
    blocks,
    activation: 'geluTanh',
    embeddingScale: Math.fround(Math.sqrt(hidden)),
    attentionScale: scaledBy ** -0.5,
    postNorms: true,
    normOffset: 1,
    queryFactor: Math.sqrt(scaledBy / (queryScalar ?? scaledBy)),
    ggufEntries: {
      'attention.key_length': { type: 'u32', value: headDim },
      'attention.value_length': { type: 'u32', value: headDim },
      'rope.freq_base': { type: 'f32', value: full.theta },
      ...(window === undefined
        ? {}
        : {
            'attention.sliding_window': { type: 'u32', value: window },
            'attention.sliding_window_pattern': {
              type: 'array',
              of: 'bool',
              value: blocks.map((block) => block.window !== undefined),
            },
            'rope.freq_base_swa': { type: 'f32', value: sliding.theta },
          }),
      ...(factor === undefined
        ? {}
        : {
            'rope.scaling.type': { type: 'string', value: 'linear' },
            'rope.scaling.factor': { type: 'f32', value: factor },
          }),
    },
  };
}
