import { z } from 'zod';
import { TersorError } from '../errors.js';
import { blockCount, dimension, parseConfig, shared, wrongConfig } from './config.js';
import type { DecoderShape } from './decoder-shape.js';
import type { Rotary } from './rotary.js';
import { ropeConfig, rotaryOf, theta } from './rotary-scaling.js';

/** Keys of config.json that all decoders share. Families add their own, and what is theirs of the defaults. */
export const decoderKeys = {
  num_hidden_layers: blockCount,
  hidden_size: dimension,
  intermediate_size: dimension,
  num_attention_heads: dimension,
  num_key_value_heads: dimension.nullish(),
  head_dim: dimension.nullish(),
  vocab_size: dimension,
  max_position_embeddings: dimension.default(2048),
  rope_theta: theta.nullish(),
  rope_scaling: ropeConfig.nullish(),
  // transformers 5 writes base, scaling and share of the head as one object
  rope_parameters: ropeConfig.nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  // Whether there are biases, the tensors tell.
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
};

export const epsilonKey = z.number().positive();

const base = z.object(decoderKeys);

/** What every family takes over as it is, with the rotary settings of its blocks, all alike. */
export type DecoderBase = Pick<
  DecoderShape,
  'hidden' | 'intermediate' | 'heads' | 'kvHeads' | 'headDim' | 'vocabulary' | 'context' | 'epsilon'
> & { readonly layers: number; readonly rotary: Rotary };

/** What families keep under names of their own. */
interface FamilySettings {
  readonly file: string;
  /** Of the norms. */
  readonly epsilon: number;
  /** Settings of the rotary positions, where they are not those of the whole model. */
  readonly rope?: z.infer<typeof ropeConfig>;
  /** Share of a head that is rotated, unless the configuration says. */
  readonly rotated?: number;
  /** Longest text that the model was trained on before its positions were scaled. */
  readonly originalContext?: number | undefined;
}

/**
 * The sizes of a decoder by its config.json.
 * @throws TersorError for heads that cannot be shared evenly
 */
export function decoderBase(parsed: z.infer<typeof base>, settings: FamilySettings): DecoderBase {
  const { file, epsilon, rope, rotated = 1, originalContext } = settings;
  const heads = parsed.num_attention_heads;
  const headDim = parsed.head_dim ?? shared(parsed.hidden_size, 'columns', heads, 'attention heads', file);
  const scaling = rope ?? parsed.rope_parameters ?? parsed.rope_scaling ?? {};
  const share = parsed.partial_rotary_factor ?? numberOf(scaling.partial_rotary_factor) ?? rotated;
  const given = {
    layers: parsed.num_hidden_layers,
    hidden: parsed.hidden_size,
    intermediate: parsed.intermediate_size,
    heads,
    kvHeads: parsed.num_key_value_heads ?? heads,
    headDim,
    vocabulary: parsed.vocab_size,
    context: parsed.max_position_embeddings,
    epsilon,
  };
  const plain = {
    headDim: Math.floor(headDim * share),
    // Beside newer settings the older key is what is left over.
    theta: scaling.rope_theta ?? parsed.rope_theta ?? 10000,
  };
  const about = { context: given.context, originalContext, file };
  return checked({ ...given, rotary: rotaryOf(plain, scaling, about) }, file);
}

const numberOf = (value: unknown) => (typeof value === 'number' ? value : undefined);

const ggufKeys = z.object({
  block_count: blockCount,
  embedding_length: dimension,
  feed_forward_length: dimension,
  context_length: dimension,
  'attention.head_count': dimension,
  'attention.head_count_kv': dimension.optional(),
  'attention.key_length': dimension.optional(),
  'attention.layer_norm_rms_epsilon': epsilonKey.optional(),
  'attention.layer_norm_epsilon': epsilonKey.optional(),
  'rope.dimension_count': dimension.optional(),
  'rope.freq_base': theta.default(10000),
  'rope.scaling.type': z.enum(['none', 'linear', 'yarn', 'longrope']).default('none'),
  'rope.scaling.factor': z.number().positive().optional(),
  'rope.scaling.attn_factor': z.number().positive().optional(),
  'rope.scaling.original_context_length': dimension.optional(),
  'rope.scaling.yarn_beta_fast': z.number().positive().optional(),
  'rope.scaling.yarn_beta_slow': z.number().positive().optional(),
  'rope.scaling.yarn_log_multiplier': z.number().positive().optional(),
});

/** The entries of a GGUF that belong to its architecture, by names without the architecture's. */
const ggufEntriesOf = (
  metadata: Readonly<Record<string, unknown>>,
  architecture: string,
): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(metadata)
      .filter(([key]) => key.startsWith(`${architecture}.`))
      .map(([key, value]) => [key.slice(architecture.length + 1), value]),
  );

/** What a GGUF says of a decoder: its sizes, and the entries of its architecture. */
export interface GgufDecoder {
  readonly base: DecoderBase;
  readonly entries: Readonly<Record<string, unknown>>;
}

/**
 * The sizes of a decoder by a GGUF's metadata.
 * @param familyKeys entries that the family reads beside those of all
 * @throws TersorError for metadata that are incomplete, or ask for what is not supported
 */
export function ggufDecoder(
  metadata: Readonly<Record<string, unknown>>,
  { vocabulary, rope = {}, file }: GgufSource,
  familyKeys: readonly string[] = [],
): GgufDecoder {
  const entries = ggufEntriesOf(metadata, String(metadata['general.architecture']));
  const parsed = parseConfig(ggufKeys, entries, file);
  refuseUnknownEntries(entries, [...Object.keys(ggufKeys.shape), ...familyKeys], file);
  const heads = parsed['attention.head_count'];
  const hidden = parsed.embedding_length;
  const headDim = parsed['attention.key_length'] ?? shared(hidden, 'columns', heads, 'attention heads', file);
  const plain = { headDim: parsed['rope.dimension_count'] ?? headDim, theta: parsed['rope.freq_base'] };
  const about = { context: parsed.context_length, file };
  const scaled = rope.freqs
    ? { ...plain, factors: rope.freqs }
    : rotaryOf(plain, ggufScaling(parsed, rope), about);
  const base = {
    layers: parsed.block_count,
    hidden,
    intermediate: parsed.feed_forward_length,
    heads,
    kvHeads: parsed['attention.head_count_kv'] ?? heads,
    headDim,
    vocabulary,
    context: parsed.context_length,
    epsilon: parsed['attention.layer_norm_rms_epsilon'] ?? parsed['attention.layer_norm_epsilon'] ?? 1e-5,
    rotary: scaled,
  };
  return { base: checked(base, file), entries };
}

/** Entries of an architecture that change nothing of what is computed. */
const harmlessEntries = [
  ...['vocab_size', 'tensor_data_layout', 'attention.causal', 'attention.value_length', 'block_count'],
  ...['rope.scaling.finetuned', 'use_parallel_residual', 'expert_gating_func', 'pooling_type'],
];

/** @throws TersorError that names an entry which may change what is computed and is not followed */
function refuseUnknownEntries(
  entries: Readonly<Record<string, unknown>>,
  known: readonly string[],
  file: string,
): void {
  for (const [key, value] of Object.entries(entries)) {
    const isUnset = value === 0 || value === false || value === '' || value === null;
    if (known.includes(key) || harmlessEntries.includes(key) || isUnset) continue;
    const experts = key.startsWith('expert_');
    throw new TersorError(
      experts
        ? 'mixtures of experts are not supported yet'
        : `the entry ${key} may change what the model computes, and tersor does not know it`,
      {
        code: 'unsupported',
        file,
        remedy: experts ? 'use a model without experts' : 'use the Hugging Face version of the model',
      },
    );
  }
}

/** How a GGUF scales positions, in the words of config.json. */
function ggufScaling(
  parsed: z.infer<typeof ggufKeys>,
  { long, short }: RopeTensors,
): Record<string, unknown> {
  const factor = parsed['rope.scaling.factor'];
  const attention = parsed['rope.scaling.attn_factor'];
  const original = { original_max_position_embeddings: parsed['rope.scaling.original_context_length'] };
  if (long && short)
    return {
      rope_type: 'longrope',
      long_factor: [...long],
      short_factor: [...short],
      attention_factor: attention ?? 1,
      ...original,
    };
  if (parsed['rope.scaling.type'] === 'linear') return { rope_type: 'linear', factor };
  if (parsed['rope.scaling.type'] !== 'yarn') return {};
  const all = parsed['rope.scaling.yarn_log_multiplier'];
  return {
    rope_type: 'yarn',
    factor,
    beta_fast: parsed['rope.scaling.yarn_beta_fast'],
    beta_slow: parsed['rope.scaling.yarn_beta_slow'],
    ...(all === undefined ? {} : { mscale: 1, mscale_all_dim: all }),
    // llama.cpp multiplies with what YaRN sharpens by itself.
    ...(attention ? { attention_factor: attention * (0.1 * Math.log(factor ?? 1) + 1) } : {}),
    ...original,
  };
}

/** Divisors of rotary frequencies that a GGUF holds as tensors. */
export interface RopeTensors {
  readonly freqs?: Float32Array;
  readonly long?: Float32Array;
  readonly short?: Float32Array;
}

export interface GgufSource {
  /** Rows of the embedding. */
  readonly vocabulary: number;
  readonly rope?: RopeTensors;
  readonly file: string;
}

/** Grouped queries come in whole groups, and rotary positions turn two halves of a head against each other. */
function checked(sizes: DecoderBase, file: string): DecoderBase {
  shared(sizes.heads, 'attention heads', sizes.kvHeads, 'heads of keys and values', file);
  const { headDim, factors } = sizes.rotary;
  const pairs = shared(headDim, 'columns of a head', 2, 'halves', file);
  if (factors && factors.length !== pairs)
    throw wrongConfig(`${factors.length} rotary factors do not fit ${pairs} frequencies`, file);
  return sizes;
}
