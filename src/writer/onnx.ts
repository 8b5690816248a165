import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Architecture, matrixShape } from '../architecture/architecture.js';
import { tensorTableKey } from '../checkpoint/compressed.js';
import { onnxFolder } from '../checkpoint/onnx/onnx.js';
import { TersorError } from '../errors.js';
import { isMatMulNBits } from '../grid/onnx/matmul-nbits.js';
import { layoutOnnx, type OnnxLayout } from '../runtime/onnx-layout.js';
import { replaceFolder } from './folder.js';
import {
  checkOnnxFolder,
  type Dtype,
  dtypeSuffixes,
  type FolderSource,
  requireCompanions,
  writeCompanions,
} from './onnx-folder.js';
import { type ExportedTensor, type ExportOptions, exportGraph, partsOf } from './onnx-graph.js';
import { temporaryPath } from './output.js';
import { createTensorWriter, type TensorWriter } from './tensor-writer.js';

/** A model for transformers.js, whose architecture describes its graph. */
export interface OnnxPlan extends ExportOptions {
  readonly source: FolderSource;
  readonly architecture: Architecture;
  readonly tensors: readonly ExportedTensor[];
  /** Provenance, for `metadata_props`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Protocol buffers end at 2 GiB; what is larger has its weights in a file beside the model. */
const largestModel = 2 ** 31 - 2 ** 20;

/**
 * The exact size in bytes of model and weights that `createOnnxWriter` makes of the same arguments.
 * @throws TersorError when the architecture has no graph to export or a file that transformers.js needs cannot be made
 */
export function onnxSize(plan: OnnxPlan): number {
  const { architecture, source } = plan;
  if (!architecture.exportGraph)
    throw new TersorError(`${architecture.modelType} cannot be written as ONNX yet`, {
      code: 'unsupported',
      file: source.checkpoint.path,
      remedy: 'write a .gguf instead',
    });
  requireCompanions(source);
  const { bytes, externalBytes = 0 } = layout(plan);
  return bytes + externalBytes;
}

/**
 * Begins a folder as transformers.js loads it: config.json, generation_config.json, the tokenizer's files, and
 * `onnx/model<suffix>.onnx`, whose suffix tells the type that most weights have. The weights of linear layers lie in
 * it as MatMulNBits reads them (src/grid/onnx/matmul-nbits.ts); `metadata_props` has a table of all tensors, by which tersor
 * reads them back. Packed rows are written under the tensors' own names. Everything lies in a temporary folder beside
 * the target until it is complete.
 * @throws TersorError when a file that transformers.js needs cannot be made or the folder cannot be written
 */
export async function createOnnxWriter(target: string, plan: OnnxPlan): Promise<TensorWriter> {
  const { source, tensors } = plan;
  await checkOnnxFolder(target);
  requireCompanions(source);
  const temporary = temporaryPath(target);
  const { pieces, places, bytes, externalBytes } = layout(plan);
  const { dtype, file } = names(plan);
  const output = {
    target,
    temporary,
    async begin() {
      const folder = join(temporary, onnxFolder);
      await mkdir(folder, { recursive: true });
      const settings = {
        dtype,
        ...(externalBytes === undefined ? {} : { use_external_data_format: { [file]: 1 } }),
        ...(plan.float === 'f16' ? { kv_cache_dtype: { [dtype]: 'float16' } } : {}),
      };
      await writeCompanions(source, settings, temporary);
      if (externalBytes === undefined) return open(join(folder, file), 'w');
      await writeFile(join(folder, file), Buffer.concat(pieces.map((piece) => piece.bytes)));
      return open(join(folder, `${file}_data`), 'w');
    },
    publish: () => replaceFolder(temporary, target),
  };
  const writer = await createTensorWriter(output, {
    header: new Uint8Array(),
    frames: externalBytes === undefined ? pieces : [],
    tensors: places,
    bytes: externalBytes ?? bytes,
  });
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return {
    ...writer,
    bytes: bytes + (externalBytes ?? 0),
    async write(name, rows, offset = 0) {
      const tensor = byName.get(name);
      if (!tensor || !isMatMulNBits(tensor.grid)) return writer.write(name, rows, offset);
      const parts = partsOf(name, tensor.grid, matrixShape(tensor.spec)[1]);
      const rowLength = parts.reduce((sum, { length }) => sum + length, 0);
      let start = 0;
      for (const { key, length } of parts) {
        if (length === 0) continue;
        await writer.write(key, column(rows, rowLength, start, length), (offset / rowLength) * length);
        start += length;
      }
    },
  };
}

/** Bytes [start, start + length) of every row. */
function column(rows: Uint8Array, rowLength: number, start: number, length: number): Uint8Array {
  const count = rows.length / rowLength;
  const result = new Uint8Array(count * length);
  for (let row = 0; row < count; row++) {
    const at = row * rowLength + start;
    result.set(rows.subarray(at, at + length), row * length);
  }
  return result;
}

function layout(plan: OnnxPlan): OnnxLayout {
  const { architecture, tensors, metadata } = plan;
  const exported = exportGraph(architecture, tensors, plan);
  const table = Object.fromEntries(
    tensors.map(({ name, spec, grid }) => [
      name,
      { type: grid.name, shape: spec.shape, ...(spec.transposed ? { transposed: true } : {}) },
    ]),
  );
  const options = { metadata: { ...metadata, [tensorTableKey]: JSON.stringify(table) } };
  const { graph } = exported;
  const inside = layoutOnnx(graph, exported.tensors, options);
  if (inside.bytes <= largestModel) return inside;
  return layoutOnnx(graph, exported.tensors, { ...options, external: `${names(plan).file}_data` });
}

/** What transformers.js calls the model: by the type of most weights of linear layers. */
function names({ tensors, float }: OnnxPlan): { readonly dtype: Dtype; readonly file: string } {
  const weights = new Map<string, number>();
  for (const { spec, grid } of tensors) {
    if (spec.kind !== 'linear') continue;
    const [rows, cols] = matrixShape(spec);
    const kind = isMatMulNBits(grid) ? `q${grid.nbits.bits}` : grid.name;
    weights.set(kind, (weights.get(kind) ?? 0) + rows * cols);
  }
  const [[kind] = ['f32']] = [...weights].sort(([, a], [, b]) => b - a);
  const dtype = dtypeOf(kind, float);
  return { dtype, file: `model${dtypeSuffixes[dtype]}.onnx` };
}

function dtypeOf(kind: string, float: ExportOptions['float']): Dtype {
  switch (kind) {
    case 'q2':
      return float === 'f16' ? 'q2f16' : 'q2';
    case 'q4':
      return float === 'f16' ? 'q4f16' : 'q4';
    case 'q8':
      return 'q8';
    default:
      return kind === 'f32' ? 'fp32' : 'fp16';
  }
}
