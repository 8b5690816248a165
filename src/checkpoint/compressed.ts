import { TersorError } from '../errors.js';
import type { Grid } from '../grid/grid.js';
import { findGrid } from '../grid/index.js';
import type { TensorInfo } from './checkpoint.js';
import { product, type StoredTensor } from './decode.js';
import { getIntact, isObject, parseJsonObject, type RangedFile } from './file.js';

/**
 * tersor's layout of compressed weights in a safetensors file, for grids that no other runtime has a format for.
 *
 * - `__metadata__.format` is `tersor`, so that transformers refuses the file instead of missing its weights.
 * - `__metadata__["tersor.tensors"]` is JSON: by tensor name `{ "type", "shape", "transposed"? }`. The type names the
 *   grid; the shape is [out, in]; `transposed` weights are [in, out] to Hugging Face (GPT-2's).
 * - A listed tensor's bytes, as `Grid.pack` makes them, are the U8 vector `<name>.codes`: codes and parameters.
 * - Tensors that are not listed are ordinary ones, f32, f16 or bf16.
 *
 * config.json and the tokenizer's files lie beside it as in any Hugging Face folder.
 */
export const compressedFormat = 'tersor';
export const tensorTableKey = 'tersor.tensors';
export const codesSuffix = '.codes';

/** A line of the table of compressed tensors. */
export interface TableEntry {
  readonly type: string;
  readonly shape: readonly number[];
  readonly transposed?: true;
}

/** Safetensors' own dtypes of the grids that need no codes. */
export const plainTypes: Readonly<Record<string, string>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

/** Bytes of a tensor on a grid; a vector counts as one row. */
export function gridBytes(grid: Grid, shape: readonly number[]): number {
  return grid.bytes(product(shape.slice(0, -1)), shape.at(-1) ?? 1);
}

/**
 * The tensors of a file as those that its table lists: `<name>.codes` become compressed `<name>`. Files without
 * a table are returned as they are.
 * @throws TersorError when table and file do not belong together or a type is unknown
 */
export function presentCompressed(
  file: RangedFile,
  tensors: readonly StoredTensor[],
  metadata: unknown,
): readonly StoredTensor[] {
  const text = isObject(metadata) ? metadata[tensorTableKey] : undefined;
  if (typeof text !== 'string') return tensors;
  const table = parseJsonObject(text, `${file.path}: ${tensorTableKey}`, getIntact);
  const left = new Map(Object.entries(table));
  const presented = tensors.map((tensor) => {
    const name = tensor.name.slice(0, -codesSuffix.length);
    if (!tensor.name.endsWith(codesSuffix) || !left.has(name)) return tensor;
    const entry = left.get(name);
    left.delete(name);
    return present(tensor, name, entry);
  });
  const [missing] = left.keys();
  if (missing !== undefined)
    throw new TersorError(`${tensorTableKey} lists it, but there is no ${missing}${codesSuffix}`, {
      file: file.path,
      tensor: missing,
      remedy: getIntact,
    });
  return presented;
}

function present(codes: StoredTensor, name: string, entry: unknown): StoredTensor {
  const where = { file: codes.file.path, tensor: name };
  const { type, shape, transposed } = isObject(entry) ? entry : {};
  if (typeof type !== 'string' || !isShape(shape) || codes.type !== 'u8')
    throw new TersorError(`${tensorTableKey} must give a type and shape, and its codes be U8`, {
      ...where,
      remedy: getIntact,
    });
  const expected = explained(where, () => gridBytes(findGrid(type), shape));
  if (expected !== codes.bytes)
    throw new TersorError(`has ${codes.bytes} bytes, but ${type} of shape [${shape}] takes ${expected}`, {
      ...where,
      remedy: getIntact,
    });
  const info: TensorInfo = { name, shape, type, bytes: codes.bytes };
  return transposed === true
    ? { ...codes, ...info, shape: shape.toReversed(), transposed }
    : { ...codes, ...info };
}

/** Errors of grids with the place that they concern. */
function explained<T>(where: { file: string; tensor: string }, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof TersorError)) throw cause;
    throw new TersorError(cause.message, { ...where, cause });
  }
}

const isShape = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((size) => Number.isSafeInteger(size) && size > 0);
