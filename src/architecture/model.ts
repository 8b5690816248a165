import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { withOwnExperts } from '../checkpoint/experts.js';
import { TersorError } from '../errors.js';
import * as g from '../graph/build.js';
import { elements } from '../graph/ops.js';
import { compile } from '../graph/program.js';
import { type Architecture, blockTensors, matrixShape, type TensorSpec } from './architecture.js';
import { families } from './families.js';
import type { Has } from './family.js';
import { isReordered, permuteRows } from './rows.js';
import { fromStored } from './stored-values.js';

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
export async function openModel(given: Checkpoint): Promise<Model> {
  const checkpoint = withOwnExperts(given);
  const { naming, tensors, path } = checkpoint;
  // Some exports put everything but the head below a module of this name.
  const prefix = wrappers.find(([name, inside]) => tensors.has(name + inside))?.[0] ?? '';
  const nameOf = ({ names, kind }: TensorSpec) => {
    if (naming === 'gguf') return names.gguf;
    const name = kind === 'head' ? names.huggingface : prefix + names.huggingface;
    const older = name
      .replace(/\bLayerNorm\.weight$/, 'LayerNorm.gamma')
      .replace(/\bLayerNorm\.bias$/, 'LayerNorm.beta');
    // Embedding models are stored as what lies inside the module of this name.
    const inner = name.replace(/^model\./, '');
    return [name, older, inner].find((each) => tensors.has(each)) ?? name;
  };
  const isTied = naming === 'huggingface' && isTiedByConfig(checkpoint.metadata);
  const stored = await recognise(checkpoint, (spec) => tensors.has(nameOf(spec)));
  const head = stored.tensors.find(({ kind }) => kind === 'head');
  // A head that is said to be the embedding and is stored once more is left out; one that differs is the model's own.
  const architecture =
    head && isTied && (await isEmbedding(checkpoint, stored, nameOf, head))
      ? await recognise(checkpoint, (spec) => spec.kind !== 'head' && tensors.has(nameOf(spec)))
      : stored;

  const storedShape = (spec: TensorSpec) =>
    spec.transposed && naming === 'huggingface' ? [...spec.shape].reverse() : spec.shape;
  for (const spec of architecture.tensors) {
    const tensor = nameOf(spec);
    const found = tensors.get(tensor);
    const remedy = 'check that config.json and the weights belong together and are complete';
    if (!found)
      throw new TersorError('the tensor is missing', { code: 'not-found', file: path, tensor, remedy });
    if (isOtherShape(found.shape, storedShape(spec))) {
      const problem = `its shape is [${found.shape}] where the configuration asks for [${storedShape(spec)}]`;
      throw new TersorError(problem, { file: path, tensor, remedy });
    }
  }

  const read = async (spec: TensorSpec): Promise<Float32Array> => {
    const { data } = await checkpoint.read(nameOf(spec));
    if (isPermuted(spec)) return permuteRows(data, spec, 'from-gguf');
    if (isTransposed(spec)) return transpose(data, storedShape(spec));
    return spec.stored && holdsStoredValues(checkpoint) ? fromStored(data, spec.stored) : data;
  };
  const isPermuted = (spec: TensorSpec) => naming === 'gguf' && isReordered(spec);
  const isTransposed = (spec: TensorSpec) => naming === 'huggingface' && spec.transposed === true;
  return {
    checkpoint,
    architecture,
    nameOf,
    read,
    async readRows(spec, from, to) {
      if (spec.shape.length > 1 && !isPermuted(spec) && !isTransposed(spec))
        return (await checkpoint.readRows(nameOf(spec), from, to)).data;
      const [, cols] = matrixShape(spec);
      return (await read(spec)).subarray(from * cols, to * cols);
    },
    readBlock: (block) => readBlock(architecture, block, read),
  };
}

/** Of a single row it does not matter whether it is kept as a vector. */
function isOtherShape(found: readonly number[], expected: readonly number[]): boolean {
  const [rows, cols] = matrixShape({ shape: found });
  return rows === 1 && expected[0] === 1 ? cols !== expected[1] : found.join() !== expected.join();
}

/** Rows of two tables that are compared at a time. */
const comparedRows = 1024;

/** Whether a head that is stored has the values of the embedding. */
async function isEmbedding(
  checkpoint: Checkpoint,
  { tensors, vocabulary }: Architecture,
  nameOf: (spec: TensorSpec) => string,
  head: TensorSpec,
): Promise<boolean> {
  const embedding = tensors.find(({ kind }) => kind === 'embedding');
  const [first, second] = [head, embedding ?? head].map((spec) => checkpoint.tensors.get(nameOf(spec)));
  if (!embedding || first?.shape.join() !== second?.shape.join()) return false;
  for (let from = 0; from < vocabulary; from += comparedRows) {
    const to = Math.min(vocabulary, from + comparedRows);
    const a = await checkpoint.readRows(nameOf(head), from, to);
    const b = await checkpoint.readRows(nameOf(embedding), from, to);
    if (a.data.some((value, at) => value !== b.data[at])) return false;
  }
  return true;
}

/** Whether values are as in Hugging Face's files; ours for a runtime hold what it computes with. */
const holdsStoredValues = ({ naming, runtimeValues }: Checkpoint) =>
  naming === 'huggingface' && !runtimeValues;

const isTiedByConfig = ({ tie_word_embeddings: tied, model_type: type }: Checkpoint['metadata']) =>
  typeof tied === 'boolean'
    ? tied
    : families.some(({ modelTypes, tiedByDefault }) => tiedByDefault && modelTypes.includes(String(type)));

/** Modules that wrap a whole model, each with a tensor that tells it. */
const wrappers = [
  ['transformer.', 'wte.weight'],
  ...['bert', 'roberta', 'distilbert', 'electra', 'mpnet'].map(
    (name) => [`${name}.`, 'embeddings.word_embeddings.weight'] as const,
  ),
  ['model.', 'embeddings.tok_embeddings.weight'],
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

async function recognise(checkpoint: Checkpoint, has: Has): Promise<Architecture> {
  const { metadata, path, naming } = checkpoint;
  const gguf = naming === 'gguf';
  const type = gguf ? metadata['general.architecture'] : metadata.model_type;
  const name = typeof type === 'string' ? type : '';
  const family = families.find(({ ggufNames, modelTypes }) => (gguf ? ggufNames : modelTypes).includes(name));
  const supported = families.flatMap(({ modelTypes }) => modelTypes);
  if (family) {
    if (!gguf) return family.fromHuggingFace(checkpoint, has);
    if (family.fromGguf) return family.fromGguf(checkpoint, has);
  }
  if (gguf && supported.includes(name))
    throw new TersorError(`GGUF files of ${name} are not supported`, {
      code: 'unsupported',
      file: path,
      remedy: 'use the Hugging Face version of the model',
    });
  throw new TersorError(`the architecture ${JSON.stringify(type ?? 'unnamed')} is not supported`, {
    code: 'unsupported',
    file: path,
    remedy: `use one of ${supported.join(', ')}`,
  });
}

async function transpose(data: Float32Array, shape: readonly number[]): Promise<Float32Array> {
  const program = await compile({ y: g.transpose(g.input('x', shape), [1, 0]) });
  const { y } = await program.run({ x: data });
  await program.release();
  return y ?? new Float32Array(elements(shape));
}
