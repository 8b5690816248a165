import { dirname, join } from 'node:path';
import { TersorError } from '../errors.js';
import type { Kernels } from '../kernels/kernels.js';
import type { Checkpoint } from './checkpoint.js';
import { presentCompressed } from './compressed.js';
import { product, type StoredTensor, scalarBytes } from './decode.js';
import { getIntact, isObject, parseJsonObject, type RangedFile, readJsonObject, withFiles } from './file.js';
import { quantizedLayout, refuseBareCodes } from './quantization-method.js';
import { presentQuantized } from './quantized.js';
import { storedCheckpoint } from './stored.js';

export const configName = 'config.json';
export const weightsName = 'model.safetensors';
export const indexName = 'model.safetensors.index.json';
/** Of one file of several. */
export const shardName = /-\d{5}-of-\d{5}\.safetensors$/;

/** The limit of the reference implementation; real headers stay below 10 MB. */
const largestHeader = 100_000_000;

const dtypes = new Map([
  ['F64', 'f64'],
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['I64', 'i64'],
  ['U64', 'u64'],
  ['I32', 'i32'],
  ['U32', 'u32'],
  ['I16', 'i16'],
  ['U16', 'u16'],
  ['I8', 'i8'],
  ['U8', 'u8'],
  ['BOOL', 'bool'],
]);

/**
 * Opens one safetensors file, or all shards that an index lists. config.json lies in the same folder.
 * Format: 8 bytes of header length, a JSON header, and the data without holes
 * (https://github.com/huggingface/safetensors#format).
 * @param path a `.safetensors` file, or a `.safetensors.index.json`
 * @throws TersorError when something is missing, corrupt or unknown
 */
export async function openSafetensors(path: string, shownAs = path, kernels?: Kernels): Promise<Checkpoint> {
  const folder = dirname(path);
  const metadata = await readJsonObject(
    join(folder, configName),
    'put the config.json of the model beside its weights',
  );
  const layout = quantizedLayout(metadata, join(folder, configName));
  return withFiles(async (open) => {
    const { files, tensors } = path.endsWith('.json')
      ? await readShards(path, open)
      : await readSingle(await open(path));
    const presented = await presentQuantized(tensors, metadata, layout);
    refuseBareCodes(presented);
    // What is presented is no longer quantized, and outputs that start from this configuration need not be.
    const { quantization_config: _, ...plain } = metadata;
    return storedCheckpoint(
      {
        path: shownAs,
        format: 'safetensors',
        naming: 'huggingface',
        metadata: presented === tensors ? metadata : plain,
        folder,
        files,
        tensors: presented,
      },
      kernels,
    );
  });
}

interface Contents {
  readonly files: readonly RangedFile[];
  readonly tensors: readonly StoredTensor[];
}

async function readSingle(file: RangedFile): Promise<Contents> {
  const { tensors, metadata } = await readHeader(file);
  return { files: [file], tensors: presentCompressed(file, tensors, metadata) };
}

/**
 * `__metadata__` of a safetensors file, empty if it has none.
 * @throws TersorError when the file is corrupt
 */
export async function readSafetensorsMetadata(path: string): Promise<Readonly<Record<string, unknown>>> {
  return withFiles(async (open) => {
    const file = await open(path);
    const { metadata } = await readHeader(file).finally(() => file.close());
    return isObject(metadata) ? metadata : {};
  });
}

async function readShards(path: string, open: (path: string) => Promise<RangedFile>): Promise<Contents> {
  const shards = await readIndex(path);
  const files: RangedFile[] = [];
  const tensors: StoredTensor[] = [];
  for (const [shard, names] of shards) {
    const file = await open(join(dirname(path), shard));
    files.push(file);
    const present = new Map((await readHeader(file)).tensors.map((tensor) => [tensor.name, tensor]));
    for (const name of names) {
      const tensor = present.get(name);
      if (!tensor) {
        const problem = `${indexName} says it is here, but it is not`;
        throw new TersorError(problem, {
          file: file.path,
          tensor: name,
          remedy: 'get shard and index again',
        });
      }
      tensors.push(tensor);
    }
  }
  return { files, tensors };
}

/**
 * The index of a sharded checkpoint: the shards, each with the names of its tensors.
 * @throws TersorError when it is corrupt or a shard is not a plain file name
 */
export async function readIndex(path: string): Promise<Map<string, string[]>> {
  const { weight_map: map } = await readJsonObject(path, 'get the index of the shards again');
  if (!isObject(map)) throw new TersorError('has no weight_map', { file: path, remedy: getIntact });
  const shards = new Map<string, string[]>();
  for (const [tensor, shard] of Object.entries(map)) {
    // A shard anywhere but beside the index would let a downloaded checkpoint read files of its choice.
    if (typeof shard !== 'string' || !/^\w[\w.-]*\.safetensors$/.test(shard)) {
      const problem = `names the shard ${JSON.stringify(shard)}, which is no plain .safetensors file name`;
      throw new TersorError(problem, { file: path, tensor, remedy: 'do not trust this checkpoint' });
    }
    const names = shards.get(shard);
    if (names) names.push(tensor);
    else shards.set(shard, [tensor]);
  }
  return shards;
}

interface Header {
  readonly tensors: StoredTensor[];
  readonly metadata: unknown;
}

async function readHeader(file: RangedFile): Promise<Header> {
  const corrupt = (problem: string, tensor?: string) =>
    new TersorError(problem, { file: file.path, tensor, remedy: getIntact });
  if (file.size < 8) throw corrupt(`has ${file.size} bytes, too few for a safetensors header`);
  const prefix = new Uint8Array(8);
  await file.read(0, prefix);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > largestHeader)
    throw corrupt(`is not a safetensors file: its header would take ${length} bytes`);
  const start = 8 + length;
  if (start > file.size) throw corrupt(`has ${file.size} bytes, fewer than its header of ${length} needs`);
  const text = new Uint8Array(length);
  await file.read(8, text);
  const header = parseJsonObject(new TextDecoder().decode(text), `${file.path}: header`, getIntact);

  const tensors = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, entry]) => readEntry(file, name, entry, start))
    .sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  // The format leaves no holes, so that nothing can hide in them and every overlap shows.
  let end = start;
  let previous = 'the header';
  for (const { name, offset, bytes } of tensors) {
    if (offset < end) throw corrupt(`overlaps ${previous}`, name);
    if (offset > end) throw corrupt(`leaves a hole of ${offset - end} bytes after ${previous}`, name);
    end = offset + bytes;
    if (end > file.size) {
      throw corrupt(`reaches to byte ${end}, but the file ends at byte ${file.size}; it is truncated`, name);
    }
    previous = name;
  }
  if (end < file.size) throw corrupt(`has ${file.size - end} bytes after the last tensor`);
  return { tensors, metadata: header.__metadata__ };
}

function readEntry(file: RangedFile, name: string, entry: unknown, start: number): StoredTensor {
  const where = { file: file.path, tensor: name };
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  if (typeof dtype !== 'string' || !isSizes(shape) || !isSizes(offsets) || offsets.length !== 2) {
    throw new TersorError('needs dtype, shape and two data_offsets', { ...where, remedy: getIntact });
  }
  const type = dtypes.get(dtype);
  const elementBytes = type && scalarBytes(type);
  if (!type || !elementBytes) {
    const remedy = `convert it to one of ${[...dtypes.keys()].join(', ')}`;
    throw new TersorError(`has the unknown dtype ${dtype}`, { code: 'unsupported', ...where, remedy });
  }
  const [from = 0, to = 0] = offsets;
  const bytes = product(shape) * elementBytes;
  if (to - from !== bytes) {
    const problem = `has ${to - from} bytes, but ${dtype} of shape [${shape}] takes ${bytes}`;
    throw new TersorError(problem, { ...where, remedy: getIntact });
  }
  return { name, shape, type, bytes, file, offset: start + from };
}

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
