import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { matrixShape } from '../architecture/architecture.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { plainTypes } from '../checkpoint/compressed.js';
import {
  configName,
  indexName,
  readSafetensorsMetadata,
  shardName,
  weightsName,
} from '../checkpoint/safetensors.js';
import { TersorError } from '../errors.js';
import { isWordGrid, partsOf } from '../grid/packed-int32/packed-int32.js';
import { checkFolder, copyCompanions, replaceFolder, requireConfig, writeJson } from './folder.js';
import { temporaryPath } from './output.js';
import { moduleOf, type NamedTensor, type QuantizationConfig } from './quantization-config.js';
import { placeTensors } from './safetensors.js';
import { createTensorWriter, type FilePlan, type TensorWriter } from './tensor-writer.js';

/** A tensor to be written. */
export interface FolderTensor extends NamedTensor {
  readonly bytes: number;
}

/** A folder that vLLM and transformers load. */
export interface QuantizedPlan {
  /** The original: its configuration and tokenizer files go into the folder. */
  readonly source: Pick<Checkpoint, 'path' | 'folder' | 'naming' | 'metadata'>;
  /** Where the tokenizer's files lie, when not with the weights. */
  readonly tokenizer?: string;
  /** Provenance, for `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly FolderTensor[];
  readonly quantization: QuantizationConfig;
  /** Bytes of tensors in one file, at most, unless a single tensor has more. */
  readonly shardBytes?: number;
}

/** As transformers divides models. */
const usualShardBytes = 5e9;
/** Who wrote a file. */
const writtenBy = 'tersor.version';

/**
 * The exact size in bytes of the weight files that `createQuantizedWriter` makes of the same arguments.
 * @throws TersorError for tensors that such a folder cannot hold
 */
export const quantizedSize = (plan: QuantizedPlan): number =>
  planShards(plan).reduce((sum, { bytes }) => sum + bytes, 0);

/**
 * Begins a folder as vLLM and transformers load it: config.json with `quantization_config`, the tokenizer's files, and
 * model.safetensors, or shards of it and their index. A weight in words is several tensors (src/grid/packed-int32/packed-int32.ts), the
 * others are ordinary ones. Packed weights are written under the tensors' own names. Everything lies in a temporary
 * folder beside the target until it is complete.
 * @throws TersorError as `quantizedSize` and `checkQuantizedFolder` do, and when there is no configuration to start from
 */
export async function createQuantizedWriter(target: string, plan: QuantizedPlan): Promise<TensorWriter> {
  const { source, tokenizer = source.folder, tensors } = plan;
  await checkQuantizedFolder(target);
  requireConfig(source, 'a folder of safetensors');
  const temporary = temporaryPath(target);
  const shards = planShards(plan);
  const output = {
    target,
    temporary,
    async begin() {
      await mkdir(temporary);
      await copyCompanions(tokenizer, temporary);
      await writeJson(join(temporary, configName), configuration(plan));
      if (shards.length > 1) await writeJson(join(temporary, indexName), indexOf(shards));
      return Promise.all(shards.map(({ name }) => open(join(temporary, name), 'w')));
    },
    publish: () => replaceFolder(temporary, target),
  };
  const writer = await createTensorWriter(output, shards);
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return {
    ...writer,
    async write(name, bytes, offset = 0) {
      const tensor = byName.get(name);
      if (!tensor || !isWordGrid(tensor.grid)) return writer.write(name, bytes, offset);
      let at = 0;
      for (const part of partsOf(tensor.grid, ...matrixShape(tensor.spec))) {
        await writer.write(moduleOf(name) + part.suffix, bytes.subarray(at, at + part.bytes));
        at += part.bytes;
      }
    },
  };
}

/**
 * Makes sure, before any work, that the folder can be written.
 * @throws TersorError as `checkFolder` does
 */
export const checkQuantizedFolder = (path: string): Promise<void> =>
  checkFolder(path, async (names) => {
    const weights = names.filter((name) => name !== indexName);
    const [first = weightsName] = weights;
    const metadata = await readSafetensorsMetadata(join(path, first)).catch(() => undefined);
    return (
      weights.every((name) => name === weightsName || shardName.test(name)) &&
      metadata?.[writtenBy] !== undefined
    );
  });

/** The original's, with how weights are stored. Scales are halves, which runtimes would round to other types. */
function configuration({ source, quantization }: QuantizedPlan): Record<string, unknown> {
  const { quantization_config: _, ...config } = source.metadata;
  const type = 'dtype' in config ? 'dtype' : 'torch_dtype';
  return { ...config, [type]: 'float16', quantization_config: quantization };
}

interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

interface Shard extends FilePlan {
  readonly name: string;
}

/** The tensors of a folder, weights in words as their parts. */
function entriesOf({ source, tensors }: QuantizedPlan): Entry[][] {
  return tensors.map(({ name, spec, grid, bytes }): Entry[] => {
    const refuse = (problem: string, remedy: string) =>
      new TersorError(problem, { file: source.path, tensor: name, remedy });
    if (isWordGrid(grid)) {
      return partsOf(grid, ...matrixShape(spec)).map(({ suffix, ...part }) => ({
        ...part,
        name: moduleOf(name) + suffix,
      }));
    }
    const dtype = plainTypes[grid.name];
    if (!dtype || spec.transposed)
      throw refuse(
        `cannot be stored as ${grid.name} in such a folder`,
        'choose one of its integer types for it',
      );
    return [{ name, dtype, shape: spec.shape, bytes }];
  });
}

function planShards(plan: QuantizedPlan): Shard[] {
  const { shardBytes = usualShardBytes } = plan;
  const shards: Entry[][] = [[]];
  let filled = 0;
  for (const entries of entriesOf(plan)) {
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    if (filled > 0 && filled + bytes > shardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(...entries);
    filled += bytes;
  }
  const five = (number: number) => String(number).padStart(5, '0');
  return shards.map((entries, index) => ({
    ...placeTensors(
      { format: 'pt', ...plan.metadata },
      entries.map((entry) => ({ ...entry, entry: entry.name })),
    ),
    name:
      shards.length === 1
        ? weightsName
        : weightsName.replace('.', `-${five(index + 1)}-of-${five(shards.length)}.`),
  }));
}

function indexOf(shards: readonly Shard[]): Record<string, unknown> {
  const total = shards.flatMap(({ tensors }) => tensors).reduce((sum, { bytes }) => sum + bytes, 0);
  const map = shards.flatMap(({ name, tensors }) => tensors.map((tensor) => [tensor.name, name] as const));
  return { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
}
