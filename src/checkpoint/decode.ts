import { TersorError } from '../errors.js';
import type { Grid } from '../grid/grid.js';
import { findGrid } from '../grid/index.js';
import type { Kernels, RowKernel } from '../kernels/kernels.js';
import { fromPanel, type Panel, slabHeight, slabs } from '../kernels/panel.js';
import type { TensorInfo } from './checkpoint.js';
import type { RangedFile } from './file.js';

/** A tensor whose rows lie one after another in a file. */
export interface StoredTensor extends TensorInfo {
  readonly file: RangedFile;
  /** Where its first byte lies. */
  readonly offset: number;
  /** The grid, where the type's name alone does not tell. */
  readonly grid?: Grid;
  /** The packed rows [from, to), where they do not lie in one piece. */
  readonly gather?: (from: number, to: number) => Promise<Uint8Array>;
  /** Rows are stored as columns: the shape is turned around. */
  readonly transposed?: true;
}

/** Storage types of one value each: bytes, and the kernel that makes f32 of them. */
const scalars = new Map<
  string,
  { readonly bytes: number; readonly kernel?: Extract<RowKernel, `convert${string}`> }
>([
  ['f32', { bytes: 4 }],
  ['f16', { bytes: 2, kernel: 'convertF16' }],
  ['bf16', { bytes: 2, kernel: 'convertBf16' }],
  ['f64', { bytes: 8, kernel: 'convertF64' }],
  ['i8', { bytes: 1, kernel: 'convertI8' }],
  ['u8', { bytes: 1, kernel: 'convertU8' }],
  ['bool', { bytes: 1, kernel: 'convertU8' }],
  ['i16', { bytes: 2, kernel: 'convertI16' }],
  ['u16', { bytes: 2, kernel: 'convertU16' }],
  ['i32', { bytes: 4, kernel: 'convertI32' }],
  ['u32', { bytes: 4, kernel: 'convertU32' }],
  ['i64', { bytes: 8, kernel: 'convertI64' }],
  ['u64', { bytes: 8, kernel: 'convertU64' }],
]);

/** Bytes of one value of a scalar type, or undefined for any other type. */
export const scalarBytes = (type: string): number | undefined => scalars.get(type)?.bytes;

export const product = (factors: readonly number[]): number => factors.reduce((all, one) => all * one, 1);

/**
 * Rows [from, to) of a tensor along its outermost dimension, decoded to f32 in slabs: it takes little memory
 * beside the result.
 * @throws TersorError when the file is too short or a value is NaN or infinite
 */
export async function decodeRows(
  kernels: Kernels,
  tensor: StoredTensor,
  from: number,
  to: number,
): Promise<Float32Array> {
  if (tensor.transposed) return decodeColumns(kernels, tensor, from, to);
  if (scalars.has(tensor.type)) return decodeScalars(kernels, tensor, from, to);
  // Blocks lie along the innermost dimension; those of a vector do not end where a range does.
  if (tensor.shape.length < 2) {
    const whole = { ...tensor, shape: [1, ...tensor.shape] };
    return (await decodeBlocks(kernels, whole, 0, 1)).slice(from, to);
  }
  return decodeBlocks(kernels, tensor, from, to);
}

function decodeScalars(
  kernels: Kernels,
  tensor: StoredTensor,
  fromRow: number,
  toRow: number,
): Promise<Float32Array> {
  const rowLength = product(tensor.shape.slice(1));
  const first = fromRow * rowLength;
  const values = new Float32Array((toRow - fromRow) * rowLength);
  const { bytes: size = 0, kernel } = scalars.get(tensor.type) ?? {};
  return kernels.scope(async (arena) => {
    const decoded = arena.f32(Math.min(slabHeight(4), values.length), 'asLeft');
    const stored = kernel ? arena.u8(decoded.length * size, 'asLeft') : bytesOf(decoded);
    for (const { from, to } of slabs(values.length, 4)) {
      const part = stored.subarray(0, (to - from) * size);
      await tensor.file.read(tensor.offset + (first + from) * size, part, tensor.name);
      if (kernel) kernels.parallel(kernel, to - from, { from: stored, to: decoded });
      const bad = kernels.call('firstNotFinite', { values: decoded, count: to - from });
      if (bad >= 0) throw notFinite(tensor, first + from + bad, decoded[bad]);
      values.set(decoded.subarray(0, to - from), from);
    }
    return values;
  });
}

async function decodeBlocks(
  kernels: Kernels,
  tensor: StoredTensor,
  fromRow: number,
  toRow: number,
): Promise<Float32Array> {
  const grid = tensor.grid ?? findGrid(tensor.type);
  const cols = tensor.shape.at(-1) ?? 1;
  const matrixRows = product(tensor.shape.slice(1, -1));
  const [first, rows] = [fromRow * matrixRows, (toRow - fromRow) * matrixRows];
  const values = new Float32Array(rows * cols);
  if (grid.whole) {
    await unpackRows(kernels, tensor, grid, [0, (tensor.shape[0] ?? 1) * matrixRows], (panel) =>
      fromPanel(kernels, { ...panel, rows, data: panel.data.subarray(first) }, values),
    );
    return values;
  }
  for (const { from, to } of slabs(rows, cols * 4)) {
    await unpackRows(kernels, tensor, grid, [first + from, first + to], (panel) =>
      fromPanel(kernels, panel, values.subarray(from * cols, to * cols)),
    );
  }
  return values;
}

/** Reads and decodes rows [from, to) of the matrix that a tensor is on its grid. */
async function unpackRows<T>(
  kernels: Kernels,
  tensor: StoredTensor,
  grid: Grid,
  [from, to]: readonly [number, number],
  use: (panel: Panel) => Promise<T> | T,
): Promise<T> {
  const cols = (tensor.transposed ? tensor.shape[0] : tensor.shape.at(-1)) ?? 1;
  const bytes = tensor.gather
    ? await tensor.gather(from, to)
    : await readPacked(tensor, from === 0 ? 0 : grid.bytes(from, cols), grid.bytes(to - from, cols));
  return kernels.scope(async (arena) => {
    const { stride, values: data } = await grid.unpack(kernels, arena, bytes, to - from, cols);
    const bad = kernels.call('firstNotFinite', { values: data, count: data.length });
    if (bad >= 0) {
      const [row, col] = [from + (bad % stride), Math.floor(bad / stride)];
      const index = tensor.transposed ? col * (to - from) + row : row * cols + col;
      throw notFinite(tensor, index, data[bad]);
    }
    return use({ rows: to - from, stride, cols, data });
  });
}

async function readPacked({ file, offset, name }: StoredTensor, start: number, length: number) {
  const bytes = new Uint8Array(length);
  await file.read(offset + start, bytes, name);
  return bytes;
}

/** Rows [from, to) of a tensor that is stored transposed: columns of the panel that it decodes to. */
function decodeColumns(
  kernels: Kernels,
  tensor: StoredTensor,
  from: number,
  to: number,
): Promise<Float32Array> {
  const rows = tensor.shape[1] ?? 1;
  return unpackRows(kernels, tensor, tensor.grid ?? findGrid(tensor.type), [0, rows], ({ stride, data }) => {
    const values = new Float32Array((to - from) * rows);
    for (let col = from; col < to; col++)
      values.set(data.subarray(col * stride, col * stride + rows), (col - from) * rows);
    return values;
  });
}

/** @param index of the value in row-major order */
function notFinite(tensor: StoredTensor, index: number, value: number | undefined): TersorError {
  const kind = Number.isNaN(value) ? 'NaN' : 'infinite';
  return new TersorError(`the value at [${position(tensor.shape, index)}] is ${kind}`, {
    file: tensor.file.path,
    tensor: tensor.name,
    remedy: 'the checkpoint is corrupt or its training failed: get another one',
  });
}

/** Index along every dimension of the value with the given index in row-major order. */
function position(shape: readonly number[], index: number): number[] {
  const indices: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    indices.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return indices;
}

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
