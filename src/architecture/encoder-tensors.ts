import { required } from '../required.js';
import type { TensorKind, TensorSpec } from './architecture.js';
import type { EncoderShape } from './encoder-shape.js';

/** All tensors of an encoder, those outside the blocks first. */
export const encoderTensors = (shape: EncoderShape): TensorSpec[] => [
  ...outsideTensors(shape),
  ...shape.blocks.flatMap((_, block) => blockTensors(shape, block)),
];

function outsideTensors(shape: EncoderShape): TensorSpec[] {
  const { hidden, vocabulary, positions, segments, relative, embeddingWidth, biases } = shape;
  const width = embeddingWidth ?? hidden;
  const spec = (role: string, kind: TensorKind, size: readonly number[], part = 'weight'): TensorSpec => ({
    role: `${role}.${part}`,
    kind,
    shape: size,
    names: { huggingface: `${nameOf(shape.names.outside, role)}.${part}`, gguf: `${role}.${part}` },
  });
  return [
    spec('token_embd', 'embedding', [vocabulary, width]),
    ...(positions ? [spec('position_embd', 'position', [positions.rows, width])] : []),
    ...(segments ? [spec('token_types', 'position', [segments, width])] : []),
    spec('token_embd_norm', 'norm', [width]),
    ...(biases.norm ? [spec('token_embd_norm', 'bias', [width], 'bias')] : []),
    // It is small, lies outside the blocks, and is kept with the tables that it stands behind.
    ...(embeddingWidth === undefined
      ? []
      : [
          spec('embd_projection', 'position', [hidden, width]),
          spec('embd_projection', 'bias', [hidden], 'bias'),
        ]),
    ...(relative ? [spec('relative_bias', 'position', [relative.buckets, shape.heads])] : []),
  ];
}

function blockTensors(shape: EncoderShape, block: number): TensorSpec[] {
  const { hidden, intermediate, norms, feedForward, fusedAttention, biases, names } = shape;
  const spec = (
    role: string,
    kind: TensorKind,
    size: readonly number[],
    module = `${names.block(block)}.${nameOf(names.inside, role.replace(/\.\w+$/, ''))}`,
  ): TensorSpec => ({
    role,
    block,
    kind,
    shape: size,
    names: { huggingface: `${module}.${role.replace(/.*\./, '')}`, gguf: `blk.${block}.${role}` },
  });
  const norm = (role: string, module?: string) => [
    spec(`${role}.weight`, 'norm', [hidden], module),
    ...(biases.norm ? [spec(`${role}.bias`, 'bias', [hidden], module)] : []),
  ];
  const layer = (role: string, out: number, inputs: number, bias: boolean) => [
    spec(`${role}.weight`, 'linear', [out, inputs]),
    ...(bias ? [spec(`${role}.bias`, 'bias', [out])] : []),
  ];
  const before = norms === 'before';
  const last = block === shape.blocks.length - 1;
  const up = feedForward === 'fused' ? 2 * intermediate : intermediate;
  return [
    ...(before && block > 0 ? norm('attn_norm') : []),
    ...(fusedAttention
      ? layer('attn_qkv', 3 * hidden, hidden, biases.attention)
      : ['attn_q', 'attn_k', 'attn_v'].flatMap((role) => layer(role, hidden, hidden, biases.attention))),
    ...layer('attn_output', hidden, hidden, biases.attention),
    ...norm(before ? 'ffn_norm' : 'attn_output_norm'),
    ...(feedForward === 'gated' ? layer('ffn_gate', intermediate, hidden, biases.feedForward) : []),
    ...layer('ffn_up', up, hidden, biases.feedForward),
    ...layer('ffn_down', hidden, intermediate, biases.feedForward),
    ...(before ? [] : norm('layer_output_norm')),
    // Outputs of the last block are those of the model.
    ...(before && last ? norm('output_norm', nameOf(names.outside, 'output_norm')) : []),
  ];
}

const nameOf = (names: Readonly<Record<string, string>>, role: string): string =>
  required(new Map(Object.entries(names)), role);
