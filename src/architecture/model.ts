import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { readPooling } from '../checkpoint/pooling.js';
import { TersorError } from '../errors.js';
import * as g from '../graph/build.js';
import { elements } from '../graph/ops.js';
import { compile } from '../graph/program.js';
import { type Architecture, blockTensors, matrixShape, type TensorSpec } from './architecture.js';
import { bert } from './bert.js';
import { bertFromHuggingFace } from './bert-config.js';
import { gpt2 } from './gpt2.js';
import { gpt2FromGguf, gpt2FromHuggingFace } from './gpt2-config.js';
import { llama } from './llama.js';
import { llamaFromGguf, llamaFromHuggingFace, llamaTypes } from './llama-config.js';
import { permuteRows } from './rows.js';

/** Model types that tersor can read. */
export const supportedTypes: readonly string[] = [...llamaTypes, 'gpt2', 'bert'];

/** A checkpoint seen through its architecture: weights by what they are, whatever the format calls them. */
export interface Model {
  readonly checkpoint: Checkpoint;
  readonly architecture: Architecture;
  /** Name of a tensor in the checkpoint. */
  nameOf(spec: TensorSpec): string;
  /** One weight in the programs' shape and order. */
  read(spec: TensorSpec): Promise<Float32Array>;
  /** Rows [from, to) of a weight as `read` gives it; of one that is stored in another order, the whole is read for it. */
  readRows(spec: TensorSpec, from: number, to: number): Promise<Float32Array>;
  /** All weights of a block (or, without a number, none of a block) by role. */
  readBlock(block: number | undefined): Promise<Record<string, Float32Array>>;
}

/**
 * Recognises the architecture of a checkpoint.
 * @throws TersorError for an unknown architecture, an incomplete configuration, or tensors that are missing
 *   or of another shape than the configuration says
 */
export async function openModel(checkpoint: Checkpoint): Promise<Model> {
  const { naming, tensors, path } = checkpoint;
  // Some exports put everything but the head below a module of this name.
  const prefix = wrappers.find(([name, inside]) => tensors.has(name + inside))?.[0] ?? '';
  const nameOf = ({ names, kind }: TensorSpec) => {
    if (naming === 'gguf') return names.gguf;
    const name = kind === 'head' ? names.huggingface : prefix + names.huggingface;
    const older = name
      .replace(/\bLayerNorm\.weight$/, 'LayerNorm.gamma')
      .replace(/\bLayerNorm\.bias$/, 'LayerNorm.beta');
    return tensors.has(name) || !tensors.has(older) ? name : older;
  };
  const architecture = await recognise(checkpoint, (spec) => {
    const tied = spec.kind === 'head' && naming === 'huggingface' && isTied(checkpoint.metadata);
    return !tied && tensors.has(nameOf(spec));
  });

  const stored = (spec: TensorSpec) =>
    spec.transposed && naming === 'huggingface' ? [...spec.shape].reverse() : spec.shape;
  for (const spec of architecture.tensors) {
    const tensor = nameOf(spec);
    const found = tensors.get(tensor);
    const remedy = 'check that config.json and the weights belong together and are complete';
    if (!found)
      throw new TersorError('the tensor is missing', { code: 'not-found', file: path, tensor, remedy });
    if (found.shape.join() !== stored(spec).join()) {
      const problem = `its shape is [${found.shape}] where the configuration asks for [${stored(spec)}]`;
      throw new TersorError(problem, { file: path, tensor, remedy });
    }
  }

  const read = async (spec: TensorSpec): Promise<Float32Array> => {
    const { data } = await checkpoint.read(nameOf(spec));
    if (isInterleaved(spec)) return permuteRows(data, spec, 'to-halves');
    if (isTransposed(spec)) return transpose(data, stored(spec));
    return data;
  };
  const isInterleaved = (spec: TensorSpec) => naming === 'gguf' && spec.interleavedHead !== undefined;
  const isTransposed = (spec: TensorSpec) => naming === 'huggingface' && spec.transposed === true;
  return {
    checkpoint,
    architecture,
    nameOf,
    read,
    async readRows(spec, from, to) {
      if (spec.shape.length > 1 && !isInterleaved(spec) && !isTransposed(spec))
        return (await checkpoint.readRows(nameOf(spec), from, to)).data;
      const [, cols] = matrixShape(spec);
      return (await read(spec)).subarray(from * cols, to * cols);
    },
    readBlock: (block) => readBlock(architecture, block, read),
  };
}

/** Modules that wrap a whole model, each with a tensor that tells it. */
const wrappers = [
  ['transformer.', 'wte.weight'],
  ['bert.', 'embeddings.word_embeddings.weight'],
] as const;

/** All weights of a block (or, without a number, of no block) by role. */
export async function readBlock(
  architecture: Architecture,
  block: number | undefined,
  read: (spec: TensorSpec) => Promise<Float32Array>,
): Promise<Record<string, Float32Array>> {
  const weights: Record<string, Float32Array> = {};
  for (const spec of blockTensors(architecture, block)) weights[spec.role] = await read(spec);
  return weights;
}

const isTied = (config: Readonly<Record<string, unknown>>) =>
  // GPT-2's configuration class ties unless told otherwise; Llama's does not.
  config.tie_word_embeddings === true ||
  (config.tie_word_embeddings === undefined && config.model_type === 'gpt2');

async function recognise(checkpoint: Checkpoint, has: (spec: TensorSpec) => boolean): Promise<Architecture> {
  const { metadata, path, naming } = checkpoint;
  const type = naming === 'gguf' ? metadata['general.architecture'] : metadata.model_type;
  if (typeof type !== 'string' || !supportedTypes.includes(type)) {
    throw new TersorError(`the architecture ${JSON.stringify(type ?? 'unnamed')} is not supported`, {
      code: 'unsupported',
      file: path,
      remedy: `use one of ${supportedTypes.join(', ')}`,
    });
  }
  if (naming === 'gguf') {
    if (type === 'bert')
      throw new TersorError('encoders in GGUF files are not supported', {
        code: 'unsupported',
        file: path,
        remedy: 'use the Hugging Face version of the model',
      });
    const vocabulary = checkpoint.tensors.get('token_embd.weight')?.shape[0] ?? 0;
    if (type === 'gpt2') return gpt2(gpt2FromGguf(metadata, vocabulary, path), has);
    const factors = checkpoint.tensors.has('rope_freqs.weight')
      ? await checkpoint.read('rope_freqs.weight')
      : undefined;
    return llama(llamaFromGguf(metadata, vocabulary, factors?.data, path), has);
  }
  if (type === 'gpt2') return gpt2(gpt2FromHuggingFace(metadata, path), has);
  if (type === 'bert') return bert(bertFromHuggingFace(metadata, path, await readPooling(checkpoint.folder)));
  return llama(llamaFromHuggingFace(metadata, path), has);
}

async function transpose(data: Float32Array, shape: readonly number[]): Promise<Float32Array> {
  const program = await compile({ y: g.transpose(g.input('x', shape), [1, 0]) });
  const { y } = await program.run({ x: data });
  await program.release();
  return y ?? new Float32Array(elements(shape));
}
