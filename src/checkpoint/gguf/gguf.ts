import { dirname } from 'node:path';
import { TersorError } from '../../errors.js';
import { ggufFormats } from '../../grid/gguf/gguf.js';
import { latticeFormats, latticeGrids } from '../../grid/gguf/lattice.js';
import type { Grid } from '../../grid/grid.js';
import type { Kernels } from '../../kernels/kernels.js';
import { required } from '../../required.js';
import type { Checkpoint } from '../checkpoint.js';
import { product, type StoredTensor, scalarBytes } from '../decode.js';
import { getIntact, type RangedFile, withFiles } from '../file.js';
import { noSuchTensor, storedCheckpoint } from '../stored.js';
import { type GgufHeader, type GgufTensorHeader, type GgufValueType, readGgufHeader } from './header.js';
import { openParts, withoutSplit } from './split.js';

/** Types by their number in `enum ggml_type`: those of the grids, and numbers that are no weights. */
const typeNames = new Map<number, string>([
  ...[...Object.values(ggufFormats), ...Object.values(latticeFormats)].map(
    ({ type, name }): [number, string] => [type, name],
  ),
  [24, 'i8'],
  [25, 'i16'],
  [26, 'i32'],
  [27, 'i64'],
  [28, 'f64'],
]);

/** Of `enum ggml_type`, those that have no grid here; for messages. */
const otherTypes: Readonly<Record<number, string>> = {
  9: 'q8_1',
  15: 'q8_k',
  31: 'q4_0_4_4',
  32: 'q4_0_4_8',
  33: 'q4_0_8_8',
  40: 'nvfp4',
};

const blockFormats = new Map<string, { readonly blockSize: number; readonly blockBytes: number }>(
  [...Object.values(ggufFormats), ...Object.values(latticeFormats)].map((format) => [format.name, format]),
);
/** Grids that no type of the output can be. */
const readOnlyGrids = new Map<string, Grid>(Object.entries(latticeGrids));

const defaultAlignment = 32;

/** A GGUF file, with what only this format has. */
export interface GgufCheckpoint extends Checkpoint {
  /** Types of the key-value pairs. */
  readonly valueTypes: ReadonlyMap<string, GgufValueType>;
  /**
   * A tensor's bytes as they are stored.
   * @throws TersorError when there is no such tensor
   */
  readBytes(name: string): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Opens a GGUF file. Tensors keep their names; shapes are turned around to have the outermost dimension first.
 * The first part of a split one stands for all.
 * @throws TersorError when the file is corrupt, truncated, another part of a split one, or has types nobody can decode
 */
export async function openGguf(path: string, kernels?: Kernels): Promise<GgufCheckpoint> {
  return withFiles(async (open) => {
    const file = await open(path);
    const parts = await openParts({ file, header: await readGgufHeader(file) }, open);
    const { header } = required(parts, 0);
    const tensors = parts.flatMap((part) => locate(part.file, part.header));
    const checkpoint = storedCheckpoint(
      {
        path,
        format: 'gguf',
        naming: 'gguf',
        metadata: parts.length > 1 ? withoutSplit(header.metadata) : header.metadata,
        folder: dirname(path),
        files: parts.map((part) => part.file),
        tensors,
      },
      kernels,
    );
    return {
      ...checkpoint,
      valueTypes: header.types,
      async readBytes(name) {
        const tensor = tensors.find((each) => each.name === name) ?? noSuchTensor(path, name);
        const stored = new Uint8Array(tensor.bytes);
        await tensor.file.read(tensor.offset, stored, name);
        return stored;
      },
    };
  });
}

function locate(file: RangedFile, header: GgufHeader): StoredTensor[] {
  const alignment = header.metadata['general.alignment'] ?? defaultAlignment;
  if (typeof alignment !== 'number' || !(alignment > 0) || alignment % 8 !== 0) {
    throw new TersorError(`has the impossible alignment ${alignment}`, {
      file: file.path,
      remedy: getIntact,
    });
  }
  const start = Math.ceil(header.bytes / alignment) * alignment;
  const tensors = header.tensors
    .map((tensor) => locateTensor(file, tensor, start))
    .sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  const names = new Set<string>();
  let previous: StoredTensor | undefined;
  for (const tensor of tensors) {
    const { name, offset } = tensor;
    const where = { file: file.path, tensor: name, remedy: getIntact };
    if (names.has(name)) throw new TersorError('occurs twice', where);
    if (previous && offset < previous.offset + previous.bytes) {
      throw new TersorError(`overlaps ${previous.name}`, where);
    }
    names.add(name);
    previous = tensor;
  }
  return tensors;
}

function locateTensor(file: RangedFile, tensor: GgufTensorHeader, start: number): StoredTensor {
  const { name, dimensions } = tensor;
  const where = { file: file.path, tensor: name };
  const corrupt = (problem: string) => new TersorError(problem, { ...where, remedy: getIntact });
  const type = typeNames.get(tensor.type);
  if (!type) {
    const remedy = `requantize it to one of ${[...typeNames.values()].join(', ')}`;
    const name = otherTypes[tensor.type];
    const problem = name ? `has the type ${name}, which is not read` : `has the unknown type ${tensor.type}`;
    throw new TersorError(problem, { code: 'unsupported', ...where, remedy });
  }
  const { blockSize, blockBytes } = blockFormats.get(type) ?? {
    blockSize: 1,
    blockBytes: scalarBytes(type) ?? 0,
  };
  const elements = product(dimensions);
  if (!Number.isSafeInteger(elements)) throw corrupt(`has the impossible shape [${dimensions}]`);
  const rowLength = dimensions[0] ?? 1;
  if (rowLength % blockSize !== 0) {
    throw corrupt(`has rows of ${rowLength} values, which blocks of ${blockSize} (${type}) do not divide`);
  }
  const bytes = (elements / blockSize) * blockBytes;
  const offset = start + tensor.offset;
  if (offset + bytes > file.size) {
    const problem = `reaches to byte ${offset + bytes}, but the file ends at byte ${file.size}; it is truncated`;
    throw corrupt(problem);
  }
  const grid = readOnlyGrids.get(type);
  return { name, shape: dimensions.toReversed(), type, bytes, file, offset, ...(grid && { grid }) };
}
