import type { StoredValues, TensorKind, TensorSpec } from './architecture.js';
import type { DecoderShape, Experts } from './decoder-shape.js';
import { expertRole } from './experts.js';

/** The tensors of a decoder, under Hugging Face's and llama.cpp's names. */
export function decoderTensors(shape: DecoderShape, has: (spec: TensorSpec) => boolean): TensorSpec[] {
  const { hidden, vocabulary, names = {} } = shape;
  const { embedding = 'model.embed_tokens', outputNorm = 'model.norm', head: headName = 'lm_head' } = names;
  const head = outer('output.weight', `${headName}.weight`, 'head', [vocabulary, hidden]);
  const optional = ({ kind, role }: TensorSpec) =>
    kind === 'bias' || kind === 'head' || /_[qk]_norm\.weight$/.test(role);
  return [
    outer('token_embd.weight', `${embedding}.weight`, 'embedding', [vocabulary, hidden]),
    ...shape.blocks.flatMap((_, block) => blockTensors(shape, block)),
    { ...outer('output_norm.weight', `${outputNorm}.weight`, 'norm', [hidden]), ...stored(shape) },
    head,
    // Norms by mean and variance, and heads beside them, may have biases.
    ...(shape.norm === 'layer'
      ? [
          outer('output_norm.bias', `${outputNorm}.bias`, 'bias', [hidden]),
          outer('output.bias', `${headName}.bias`, 'bias', [vocabulary]),
        ]
      : []),
  ].filter((spec) => !optional(spec) || has(spec));
}

/** Llama's names of the modules of a block. */
const llamaNames: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_qkv: 'self_attn.qkv_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
  ffn_gate_inp: 'mlp.gate',
  ffn_gate_exps: 'mlp.experts.*.gate_proj',
  ffn_up_exps: 'mlp.experts.*.up_proj',
  ffn_down_exps: 'mlp.experts.*.down_proj',
  ffn_gate_inp_shexp: 'mlp.shared_expert_gate',
  ffn_gate_shexp: 'mlp.shared_expert.gate_proj',
  ffn_up_shexp: 'mlp.shared_expert.up_proj',
  ffn_down_shexp: 'mlp.shared_expert.down_proj',
  post_attention_norm: 'post_attention_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};

function blockTensors(shape: DecoderShape, block: number): TensorSpec[] {
  const { hidden, intermediate, heads, kvHeads, headDim, names = {} } = shape;
  const { norms = 'before', parallel, fusedAttention, feedForward = 'gated', wideHeadNorms } = shape;
  const experts = shape.blocks[block]?.experts;
  const prefix = `${names.blocks ?? 'model.layers'}.${block}`;
  const moduleOf = (role: string) => names.roles?.[role] ?? llamaNames[role] ?? role;
  const spec: MakeSpec = (role, part, kind, size, extra = {}) => ({
    role: `${role}.${part}`,
    block,
    kind,
    shape: size,
    names: { huggingface: `${prefix}.${moduleOf(role)}.${part}`, gguf: `blk.${block}.${role}.${part}` },
    ...extra,
  });
  const layer = (role: string, out: number, inputs: number, extra = {}) => [
    spec(role, 'weight', 'linear', [out, inputs], extra),
    spec(role, 'bias', 'bias', [out], extra),
  ];
  const norm = (role: string, size = hidden, factor = 1) => [
    spec(role, 'weight', 'norm', [size], stored(shape, factor)),
    ...(shape.norm === 'layer' ? [spec(role, 'bias', 'bias', [size])] : []),
  ];
  const pairs = shape.interleaved ? { interleavedHead: headDim } : {};
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const before = norms !== 'behind';
  const behind = norms !== 'before';
  return [
    ...(before ? norm('attn_norm') : []),
    ...(fusedAttention
      ? layer('attn_qkv', queries + 2 * keys, hidden, fusedAttention === 'heads' ? { fusedHeads: heads } : {})
      : [
          ...layer('attn_q', queries, hidden, pairs),
          ...layer('attn_k', keys, hidden, pairs),
          ...layer('attn_v', keys, hidden),
        ]),
    ...norm('attn_q_norm', wideHeadNorms ? queries : headDim, shape.queryFactor),
    ...norm('attn_k_norm', wideHeadNorms ? keys : headDim),
    ...layer('attn_output', hidden, queries),
    ...(behind ? norm('post_attention_norm') : []),
    ...(before && parallel !== 'shared norm' ? norm('ffn_norm') : []),
    ...(experts
      ? expertTensors(experts, hidden, spec)
      : [
          ...(feedForward === 'gated' ? layer('ffn_gate', intermediate, hidden) : []),
          ...layer('ffn_up', feedForward === 'fused gate' ? 2 * intermediate : intermediate, hidden),
          ...layer('ffn_down', hidden, intermediate),
        ]),
    ...(behind ? norm('post_ffw_norm') : []),
  ];
}

type MakeSpec = (
  role: string,
  part: 'weight' | 'bias',
  kind: TensorKind,
  size: readonly number[],
  extra?: Partial<TensorSpec>,
) => TensorSpec;

/** The weights of the router, of each expert, and of the one that all tokens share. */
function expertTensors({ count, intermediate, shared }: Experts, hidden: number, spec: MakeSpec) {
  const expert = (role: string, index: number, size: readonly number[]): TensorSpec => {
    const { names, ...whole } = spec(role, 'weight', 'linear', size);
    return {
      ...whole,
      role: `${expertRole(role, index)}.weight`,
      names: {
        huggingface: names.huggingface.replace('*', `${index}`),
        gguf: names.gguf.replace(/\.weight$/, `.${index}.weight`),
      },
      expert: { index, count, gguf: names.gguf },
    };
  };
  const all = Array.from({ length: count }, (_, index) => [
    expert('ffn_gate_exps', index, [intermediate, hidden]),
    expert('ffn_up_exps', index, [intermediate, hidden]),
    expert('ffn_down_exps', index, [hidden, intermediate]),
  ]);
  return [
    spec('ffn_gate_inp', 'weight', 'router', [count, hidden]),
    ...all.flat(),
    ...(shared
      ? [
          ...(shared.gated ? [spec('ffn_gate_inp_shexp', 'weight', 'router', [1, hidden])] : []),
          spec('ffn_gate_shexp', 'weight', 'linear', [shared.intermediate, hidden], { sharedExpert: true }),
          spec('ffn_up_shexp', 'weight', 'linear', [shared.intermediate, hidden], { sharedExpert: true }),
          spec('ffn_down_shexp', 'weight', 'linear', [hidden, shared.intermediate], { sharedExpert: true }),
        ]
      : []),
  ];
}

const outer = (role: string, huggingface: string, kind: TensorKind, size: readonly number[]): TensorSpec => ({
  role,
  kind,
  shape: size,
  names: { huggingface, gguf: role },
});

const stored = ({ normOffset = 0 }: DecoderShape, factor = 1): { stored?: StoredValues } =>
  normOffset === 0 && factor === 1 ? {} : { stored: { offset: normOffset, factor } };
