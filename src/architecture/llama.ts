import { z } from 'zod';
import { TersorError } from '../errors.js';
import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import type { Architecture, ArchitectureEntry, Batch, TensorKind, TensorSpec } from './architecture.js';
import { attend, splitHeads } from './attention.js';
import { blockCount, dimension, parseConfig } from './config.js';
import { exportLlama } from './llama-export.js';
import { llama3Factors, type Rotary, rotate } from './rotary.js';

/** Llama and those that differ from it in biases, query-key norms and defaults only. */
export const llamaTypes = ['llama', 'mistral', 'qwen2', 'qwen3'] as const;
type LlamaType = (typeof llamaTypes)[number];

/** llama.cpp's architecture: it rotates neighbouring pairs for `llama`, halves for the Qwens. */
const ggufNames: Record<LlamaType, string> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
};

/** What the graph needs to know, from whichever format. */
export interface LlamaShape {
  readonly modelType: LlamaType;
  readonly layers: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly epsilon: number;
  readonly rotary: Rotary;
  /** Positions an attention head looks back over, when fewer than all. */
  readonly window?: number;
}

/** `has` tells which tensors the checkpoint holds: that decides on biases, norms and a head of its own. */
export function llama(shape: LlamaShape, has: (spec: TensorSpec) => boolean): Architecture {
  const { hidden, intermediate, heads, kvHeads, vocabulary, epsilon, rotary } = shape;
  const { headDim } = rotary;
  const gguf = ggufNames[shape.modelType];
  const interleavedHead = gguf === 'llama' ? { interleavedHead: headDim } : {};

  const blockSpecs = (block: number): TensorSpec[] => {
    const spec = (
      role: string,
      huggingface: string,
      kind: TensorKind,
      size: readonly number[],
      extra = {},
    ) => ({
      role,
      block,
      kind,
      shape: size,
      names: { huggingface: `model.layers.${block}.${huggingface}`, gguf: `blk.${block}.${role}` },
      ...extra,
    });
    const layer = (role: string, huggingface: string, out: number, inputs: number, extra = {}) => [
      spec(`${role}.weight`, `${huggingface}.weight`, 'linear', [out, inputs], extra),
      spec(`${role}.bias`, `${huggingface}.bias`, 'bias', [out], extra),
    ];
    return [
      spec('attn_norm.weight', 'input_layernorm.weight', 'norm', [hidden]),
      ...layer('attn_q', 'self_attn.q_proj', heads * headDim, hidden, interleavedHead),
      ...layer('attn_k', 'self_attn.k_proj', kvHeads * headDim, hidden, interleavedHead),
      ...layer('attn_v', 'self_attn.v_proj', kvHeads * headDim, hidden),
      spec('attn_q_norm.weight', 'self_attn.q_norm.weight', 'norm', [headDim]),
      spec('attn_k_norm.weight', 'self_attn.k_norm.weight', 'norm', [headDim]),
      ...layer('attn_output', 'self_attn.o_proj', hidden, heads * headDim),
      spec('ffn_norm.weight', 'post_attention_layernorm.weight', 'norm', [hidden]),
      ...layer('ffn_gate', 'mlp.gate_proj', intermediate, hidden),
      ...layer('ffn_up', 'mlp.up_proj', intermediate, hidden),
      ...layer('ffn_down', 'mlp.down_proj', hidden, intermediate),
    ];
  };
  const outer = (
    role: string,
    huggingface: string,
    kind: TensorKind,
    size: readonly number[],
  ): TensorSpec => ({
    role,
    kind,
    shape: size,
    names: { huggingface, gguf: role },
  });
  const head = outer('output.weight', 'lm_head.weight', 'head', [vocabulary, hidden]);
  const optional = (spec: TensorSpec) =>
    spec.kind === 'bias' ||
    spec === head ||
    spec.role.endsWith('_q_norm.weight') ||
    spec.role.endsWith('_k_norm.weight');
  const tensors = [
    outer('token_embd.weight', 'model.embed_tokens.weight', 'embedding', [vocabulary, hidden]),
    ...Array.from({ length: shape.layers }, (_, block) => blockSpecs(block)).flat(),
    outer('output_norm.weight', 'model.norm.weight', 'norm', [hidden]),
    head,
  ].filter((spec) => !optional(spec) || has(spec));

  // Roles are the same in every block: the first block and what lies outside all blocks name them all.
  const inputs = new Map(tensors.filter((spec) => !spec.block).map((spec) => [spec.role, spec]));
  const find = (role: string): Value | undefined => {
    const spec = inputs.get(role);
    return spec && g.input(role, spec.shape);
  };
  const weight = (role: string): Value => find(role) ?? missing(role);
  const linear = (x: Value, role: string) => g.linear(x, weight(`${role}.weight`), find(`${role}.bias`));
  const norm = (x: Value, role: string) => g.rmsNorm(x, weight(`${role}.weight`), epsilon);
  const tied = !tensors.includes(head);

  return {
    modelType: shape.modelType,
    gguf,
    objective: 'prediction',
    layers: shape.layers,
    hidden,
    vocabulary,
    context: shape.context,
    tied,
    tensors,

    embed: (tokens) => g.gather(weight('token_embd.weight'), tokens),

    block(x: Value, batch: Batch) {
      const position = (y: Value, role: string) => {
        const qkNorm = find(`${role}_norm.weight`);
        return rotate(qkNorm ? g.rmsNorm(y, qkNorm, epsilon) : y, rotary);
      };
      const normed = norm(x, 'attn_norm');
      const q = position(splitHeads(linear(normed, 'attn_q'), batch, heads), 'attn_q');
      const k = position(splitHeads(linear(normed, 'attn_k'), batch, kvHeads), 'attn_k');
      const v = splitHeads(linear(normed, 'attn_v'), batch, kvHeads);
      const y = g.add(x, linear(attend(q, k, v, shape.window), 'attn_output'));
      const z = norm(y, 'ffn_norm');
      return g.add(y, linear(g.mul(g.silu(linear(z, 'ffn_gate')), linear(z, 'ffn_up')), 'ffn_down'));
    },

    head: (x) => g.linear(norm(x, 'output_norm'), weight(tied ? 'token_embd.weight' : 'output.weight')),

    ggufMetadata() {
      const whole = (value: number): ArchitectureEntry => ({ type: 'u32', value });
      const real = (value: number): ArchitectureEntry => ({ type: 'f32', value });
      return {
        block_count: whole(shape.layers),
        context_length: whole(shape.context),
        embedding_length: whole(hidden),
        feed_forward_length: whole(intermediate),
        'attention.head_count': whole(heads),
        'attention.head_count_kv': whole(kvHeads),
        'attention.layer_norm_rms_epsilon': real(epsilon),
        ...(headDim * heads === hidden
          ? {}
          : { 'attention.key_length': whole(headDim), 'attention.value_length': whole(headDim) }),
        'rope.freq_base': real(rotary.theta),
        'rope.dimension_count': whole(headDim),
      };
    },

    exportGraph: (graph) => exportLlama(graph, shape, tied ? 'token_embd' : 'output'),

    ggufExtras: () =>
      rotary.factors ? [{ name: 'rope_freqs.weight', shape: [headDim / 2], data: rotary.factors }] : [],
  };
}

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}`);
}

const huggingfaceConfig = z.object({
  model_type: z.enum(llamaTypes),
  num_hidden_layers: blockCount,
  hidden_size: dimension,
  intermediate_size: dimension,
  num_attention_heads: dimension,
  num_key_value_heads: dimension.nullish(),
  head_dim: dimension.nullish(),
  vocab_size: dimension,
  max_position_embeddings: dimension.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  // transformers 5 writes theta and scaling as one object
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  sliding_window: dimension.nullish(),
  use_sliding_window: z.boolean().nullish(),
  hidden_act: z.literal('silu').default('silu'),
});

/** Reads a Llama-family config.json. */
export function llamaFromHuggingFace(config: unknown, file: string): LlamaShape {
  const parsed = parseConfig(huggingfaceConfig, config, file);
  const heads = parsed.num_attention_heads;
  const scaling = parsed.rope_scaling ?? parsed.rope_parameters ?? {};
  const rotary: Rotary = {
    headDim: parsed.head_dim ?? parsed.hidden_size / heads,
    theta: parsed.rope_theta ?? (typeof scaling.rope_theta === 'number' ? scaling.rope_theta : 10000),
  };
  const factors = rotaryFactors(rotary, scaling, file);
  const windowed = parsed.use_sliding_window ?? parsed.model_type === 'mistral';
  return {
    modelType: parsed.model_type,
    layers: parsed.num_hidden_layers,
    hidden: parsed.hidden_size,
    intermediate: parsed.intermediate_size,
    heads,
    kvHeads: parsed.num_key_value_heads ?? heads,
    vocabulary: parsed.vocab_size,
    context: parsed.max_position_embeddings,
    epsilon: parsed.rms_norm_eps,
    rotary: factors ? { ...rotary, factors } : rotary,
    ...(windowed && parsed.sliding_window ? { window: parsed.sliding_window } : {}),
  };
}

function rotaryFactors(
  rotary: Rotary,
  scaling: Record<string, unknown>,
  file: string,
): Float32Array | undefined {
  const type = scaling.rope_type ?? scaling.type ?? 'default';
  if (type === 'default') return undefined;
  const number = (key: string) => {
    const value = scaling[key];
    if (typeof value === 'number' && value > 0) return value;
    throw new TersorError(`rope_scaling.${key} must be a number above zero`, {
      file,
      remedy: 'correct config.json',
    });
  };
  if (type === 'linear') return new Float32Array(rotary.headDim / 2).fill(number('factor'));
  if (type === 'llama3') {
    return llama3Factors(rotary, {
      factor: number('factor'),
      lowFrequencyFactor: number('low_freq_factor'),
      highFrequencyFactor: number('high_freq_factor'),
      originalContext: number('original_max_position_embeddings'),
    });
  }
  throw new TersorError(`rotary scaling ${JSON.stringify(type)} is not supported`, {
    file,
    remedy:
      'tersor knows default, linear and llama3; set rope_scaling to null to compress for the original context',
  });
}

/** Reads the GGUF metadata of a Llama, Mistral or Qwen; `factors` are the contents of rope_freqs.weight. */
export function llamaFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  vocabulary: number,
  factors: Float32Array | undefined,
  file: string,
): LlamaShape {
  const name = String(metadata['general.architecture']);
  const own = Object.fromEntries(
    Object.entries(metadata)
      .filter(([key]) => key.startsWith(`${name}.`))
      .map(([key, value]) => [key.slice(name.length + 1), value]),
  );
  const parsed = parseConfig(ggufConfig, own, file);
  const heads = parsed['attention.head_count'];
  const headDim = parsed['attention.key_length'] ?? parsed.embedding_length / heads;
  const linearFactor = parsed['rope.scaling.type'] === 'linear' ? parsed['rope.scaling.factor'] : undefined;
  const divisors = factors ?? (linearFactor && new Float32Array(headDim / 2).fill(linearFactor));
  return {
    modelType: name as LlamaType,
    layers: parsed.block_count,
    hidden: parsed.embedding_length,
    intermediate: parsed.feed_forward_length,
    heads,
    kvHeads: parsed['attention.head_count_kv'] ?? heads,
    vocabulary,
    context: parsed.context_length,
    epsilon: parsed['attention.layer_norm_rms_epsilon'],
    rotary: { headDim, theta: parsed['rope.freq_base'], ...(divisors ? { factors: divisors } : {}) },
  };
}

const ggufConfig = z.object({
  block_count: blockCount,
  embedding_length: dimension,
  feed_forward_length: dimension,
  context_length: dimension,
  'attention.head_count': dimension,
  'attention.head_count_kv': dimension.optional(),
  'attention.key_length': dimension.optional(),
  'attention.layer_norm_rms_epsilon': z.number().positive(),
  'rope.freq_base': z.number().positive().default(10000),
  'rope.scaling.type': z.string().optional(),
  'rope.scaling.factor': z.number().positive().optional(),
});
