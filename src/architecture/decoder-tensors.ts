import type { StoredValues, TensorKind, TensorSpec } from './architecture.js';
import type { DecoderShape } from './decoder-shape.js';

/** The tensors of a decoder in Llama's manner, under Hugging Face's and llama.cpp's names. */
export function decoderTensors(shape: DecoderShape, has: (spec: TensorSpec) => boolean): TensorSpec[] {
  const { hidden, vocabulary } = shape;
  const head = outer('output.weight', 'lm_head.weight', 'head', [vocabulary, hidden]);
  const optional = ({ kind, role }: TensorSpec) =>
    kind === 'bias' || kind === 'head' || /_[qk]_norm\.weight$/.test(role);
  return [
    outer('token_embd.weight', 'model.embed_tokens.weight', 'embedding', [vocabulary, hidden]),
    ...shape.blocks.flatMap((_, block) => blockTensors(shape, block)),
    { ...outer('output_norm.weight', 'model.norm.weight', 'norm', [hidden]), ...stored(shape) },
    head,
  ].filter((spec) => !optional(spec) || has(spec));
}

function blockTensors(shape: DecoderShape, block: number): TensorSpec[] {
  const { hidden, intermediate, heads, kvHeads, headDim } = shape;
  const spec = (
    role: string,
    huggingface: string,
    kind: TensorKind,
    size: readonly number[],
    extra: Partial<TensorSpec> = {},
  ): TensorSpec => ({
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
  const norm = (role: string, huggingface: string, size = hidden, factor = 1) =>
    spec(`${role}.weight`, `${huggingface}.weight`, 'norm', [size], stored(shape, factor));
  const pairs = shape.interleaved ? { interleavedHead: headDim } : {};
  const { postNorms, queryFactor } = shape;
  return [
    norm('attn_norm', 'input_layernorm'),
    ...layer('attn_q', 'self_attn.q_proj', heads * headDim, hidden, pairs),
    ...layer('attn_k', 'self_attn.k_proj', kvHeads * headDim, hidden, pairs),
    ...layer('attn_v', 'self_attn.v_proj', kvHeads * headDim, hidden),
    norm('attn_q_norm', 'self_attn.q_norm', headDim, queryFactor),
    norm('attn_k_norm', 'self_attn.k_norm', headDim),
    ...layer('attn_output', 'self_attn.o_proj', hidden, heads * headDim),
    ...(postNorms ? [norm('post_attention_norm', 'post_attention_layernorm')] : []),
    norm('ffn_norm', postNorms ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'),
    ...layer('ffn_gate', 'mlp.gate_proj', intermediate, hidden),
    ...layer('ffn_up', 'mlp.up_proj', intermediate, hidden),
    ...layer('ffn_down', 'mlp.down_proj', hidden, intermediate),
    ...(postNorms ? [norm('post_ffw_norm', 'post_feedforward_layernorm')] : []),
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
