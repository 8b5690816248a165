import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import type { Architecture, ArchitectureEntry, Batch, TensorKind, TensorSpec } from './architecture.js';
import { attend, splitHeads } from './attention.js';
import type { LlamaShape, LlamaType } from './llama-config.js';
import { exportLlama } from './llama-export.js';
import { rotate } from './rotary.js';

/** llama.cpp's architecture: it rotates neighbouring pairs for `llama`, halves for the Qwens. */
const ggufNames: Record<LlamaType, string> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
};

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
