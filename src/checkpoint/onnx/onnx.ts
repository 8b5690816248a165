import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TersorError } from '../../errors.js';
import type { Grid } from '../../grid/grid.js';
import { findMatMulNBitsGrid, rowParts } from '../../grid/onnx/matmul-nbits.js';
import type { Kernels } from '../../kernels/kernels.js';
import type { Checkpoint } from '../checkpoint.js';
import { tensorTableKey } from '../compressed.js';
import { product, type StoredTensor, scalarBytes } from '../decode.js';
import { getIntact, isObject, parseJsonObject, type RangedFile, readJsonObject, withFiles } from '../file.js';
import { configName } from '../safetensors.js';
import { storedCheckpoint } from '../stored.js';
import { type OnnxHeader, type OnnxInitializer, readOnnxHeader } from './header.js';
import { onnxSuffixes } from './names.js';

/** Where transformers.js expects model files in a folder. */
export const onnxFolder = 'onnx';

/**
 * The model file of a folder as transformers.js has them.
 * @returns undefined if the folder has none
 * @throws TersorError when there are several
 */
export async function findOnnxFile(folder: string): Promise<string | undefined> {
  const names = await readdir(join(folder, onnxFolder)).catch(() => []);
  const models = names.filter((name) => name.endsWith('.onnx')).sort();
  const [first, second] = models;
  if (first === undefined) return undefined;
  if (second !== undefined) {
    throw new TersorError(`has ${models.length} models: ${models.join(', ')}`, {
      file: folder,
      remedy: `give one of them, such as ${join(folder, onnxFolder, first)}`,
    });
  }
  return join(folder, onnxFolder, first);
}

/**
 * Opens an ONNX model that tersor wrote: the weights under Hugging Face's names, as src/writer/onnx.ts stores them.
 * @param path the `.onnx`; its folder lies in the one with config.json and the tokenizer
 * @throws TersorError when another tool made the file, or it is corrupt
 */
export async function openOnnx(path: string, shownAs = path, kernels?: Kernels): Promise<Checkpoint> {
  const folder = dirname(dirname(path));
  const config = await readJsonObject(
    join(folder, configName),
    'put the config.json of the model into the folder above',
  );
  return withFiles(async (open) => {
    const file = await open(path);
    const header = await readOnnxHeader(file);
    const externals = new Map<string, RangedFile>();
    for (const { external } of header.initializers.values()) {
      if (external && !externals.has(external)) externals.set(external, await open(external));
    }
    const fileOf = ({ external }: OnnxInitializer) => (external && externals.get(external)) || file;
    const own = Object.entries(header.metadata).filter(
      ([key]) => key.startsWith('tersor.') && key !== tensorTableKey,
    );
    return storedCheckpoint(
      {
        path: shownAs,
        format: 'onnx',
        naming: 'huggingface',
        runtimeValues: true,
        metadata: { ...config, ...Object.fromEntries(own) },
        folder,
        files: [file, ...externals.values()],
        tensors: presentTensors(file.path, header, fileOf),
      },
      kernels,
    );
  });
}

function presentTensors(
  path: string,
  { initializers, metadata }: OnnxHeader,
  fileOf: (initializer: OnnxInitializer) => RangedFile,
): StoredTensor[] {
  const text = metadata[tensorTableKey];
  if (text === undefined) {
    throw new TersorError('was not written by tersor, and how its weights are stored is not known', {
      code: 'unsupported',
      file: path,
      remedy: 'give the Hugging Face version of the model',
    });
  }
  const table = parseJsonObject(text, `${path}: ${tensorTableKey}`, getIntact);
  return Object.entries(table).map(([name, entry]) => {
    const where = { file: path, tensor: name };
    const corrupt = (problem: string) => new TersorError(problem, { ...where, remedy: getIntact });
    const { type, shape, transposed } = isObject(entry) ? entry : {};
    if (typeof type !== 'string' || !isShape(shape))
      throw corrupt(`${tensorTableKey} must give a type and shape`);
    const find = (key: string, bytes: number): OnnxInitializer => {
      const found = initializers.get(key);
      if (!found) throw corrupt(`${tensorTableKey} lists it, but there is no ${key}`);
      if (found.bytes !== bytes)
        throw corrupt(`${key} has ${found.bytes} bytes, but ${type} of shape [${shape}] takes ${bytes}`);
      const { size } = fileOf(found);
      if (found.offset + bytes > size)
        throw corrupt(`reaches to byte ${found.offset + bytes}, but the file ends at byte ${size}`);
      return found;
    };
    const turned = transposed === true;
    const about = {
      name,
      type,
      shape: turned ? shape.toReversed() : shape,
      ...(turned ? ({ transposed } as const) : {}),
    };
    const grid = findMatMulNBitsGrid(type);
    if (!grid) {
      const bytes = product(shape) * (scalarBytes(type) ?? Number.NaN);
      const found = find(name, bytes);
      return { ...about, bytes, file: fileOf(found), offset: found.offset };
    }
    const [rows = 1, cols = 1] = shape;
    const parts = rowParts(grid, cols);
    const runs = (['codes', 'scales', 'zeroPoints'] as const)
      .filter((part) => parts[part] > 0)
      .map((part) => {
        const initializer = find(name + onnxSuffixes[part], rows * parts[part]);
        return { file: fileOf(initializer), offset: initializer.offset, length: parts[part] };
      });
    return {
      ...about,
      grid: grid as Grid,
      bytes: grid.bytes(rows, cols),
      file: runs[0]?.file ?? fileOf(find(name, 0)),
      offset: runs[0]?.offset ?? 0,
      gather: (from: number, to: number) => gatherRows(name, runs, from, to),
    };
  });
}

/** Rows [from, to) with their parts, each of which lies in one piece, side by side. */
async function gatherRows(
  name: string,
  runs: readonly { readonly file: RangedFile; readonly offset: number; readonly length: number }[],
  from: number,
  to: number,
): Promise<Uint8Array> {
  const rowLength = runs.reduce((sum, { length }) => sum + length, 0);
  const rows = new Uint8Array((to - from) * rowLength);
  let start = 0;
  for (const { file, offset, length } of runs) {
    const part = new Uint8Array((to - from) * length);
    await file.read(offset + from * length, part, name);
    for (let row = 0; row < to - from; row++)
      rows.set(part.subarray(row * length, (row + 1) * length), row * rowLength + start);
    start += length;
  }
  return rows;
}

const isShape = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((size) => Number.isSafeInteger(size) && size > 0);
