import { TersorError } from '../../errors.js';
import type { Arena, Kernels } from '../../kernels/kernels.js';
import { strideOf } from '../../kernels/panel.js';
import type { Encoded, Grid, Parameters } from '../grid.js';
import {
  decodeCells,
  halfBytes,
  outlierBits,
  rowBytes,
  type VectorFormat,
  vectorCells,
  vectorCounts,
  vectorStore,
} from './format.js';

/** The bytes of a tensor of vector codes; the layout is described at `findVectorGrid`. */
export async function packVectors(
  kernels: Kernels,
  format: VectorFormat,
  { grid, rows, cols, parameters }: Encoded,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(grid.bytes(rows, cols));
  await kernels.scope((arena) => {
    let at = 0;
    const append = (part: Uint8Array) => {
      bytes.set(part, at);
      at += part.length;
    };
    for (const array of halves(parameters, rows)) {
      const floats = arena.f32(array.length);
      floats.set(array);
      const stored = arena.u8(array.length * halfBytes);
      kernels.parallel('castToF16', array.length, { from: floats, to: stored });
      append(stored);
    }
    append(asBytes(vectorStore(parameters).outlierColumns));
    const file = arena.u8(rows * rowBytes(format, cols));
    eachCode(kernels, 'packCodes', format, { parameters, rows, cols }, file);
    append(file);
  });
  return bytes;
}

/** The inverse of `packVectors`. */
export async function unpackVectors(
  kernels: Kernels,
  arena: Arena,
  grid: Grid,
  format: VectorFormat,
  bytes: Uint8Array,
  { rows, cols }: Pick<Encoded, 'rows' | 'cols'>,
): Promise<Encoded> {
  const remedy = 'check that the file is complete';
  const expected = grid.bytes(rows, cols);
  if (bytes.length !== expected)
    throw new TersorError(
      `${bytes.length} bytes are not ${rows} × ${cols} weights of type ${grid.name}, which take ${expected}`,
      { remedy },
    );
  const parameters = grid.allocate(arena, rows, cols);
  const values = arena.f32(cols * strideOf(rows));
  const { outlierColumns } = vectorStore(parameters);
  await kernels.scope((inner) => {
    let at = 0;
    const read = (into: Uint8Array) => {
      into.set(bytes.subarray(at, at + into.length));
      at += into.length;
      return into;
    };
    for (const array of halves(parameters, rows)) {
      const floats = inner.f32(array.length);
      const stored = read(inner.u8(array.length * halfBytes));
      kernels.parallel('convertF16', array.length, { from: stored, to: floats });
      array.set(floats);
    }
    read(asBytes(outlierColumns));
    if (!outlierColumns.every((column, i) => column < cols && column > (outlierColumns[i - 1] ?? -1)))
      throw new TersorError(`type ${grid.name} names outlier columns that there are not`, { remedy });
    const file = read(inner.u8(rows * rowBytes(format, cols)));
    eachCode(kernels, 'unpackCodes', format, { parameters, rows, cols }, file);
    const cells = vectorCells(inner, format, parameters, rows, cols);
    decodeCells(kernels, cells, parameters.scale, values);
  });
  return { grid, rows, stride: strideOf(rows), cols, parameters, values };
}

/** What is stored as halves, in order. */
function halves(parameters: Parameters, rows: number): Float32Array[] {
  const { codebooks, outlierScales } = vectorStore(parameters);
  return [codebooks, parameters.scale.subarray(0, rows), outlierScales];
}

const asBytes = ({ buffer, byteOffset, byteLength }: Uint16Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Runs a packing kernel for every vector and stage, then for every outlier column. */
function eachCode(
  kernels: Kernels,
  kernel: 'packCodes' | 'unpackCodes',
  format: VectorFormat,
  { parameters, rows, cols }: Pick<Encoded, 'parameters' | 'rows' | 'cols'>,
  file: Uint8Array,
): void {
  const { vectors, outliers } = vectorCounts(format, cols);
  const { codes } = vectorStore(parameters);
  const stride = strideOf(rows);
  const bytesOfRow = rowBytes(format, cols);
  const widths = [
    ...format.sizes.flatMap((size) => Array<number>(vectors).fill(Math.log2(size))),
    ...Array<number>(outliers).fill(outlierBits),
  ];
  let bit = 0;
  for (const [index, bits] of widths.entries()) {
    kernels.parallel(kernel, rows, {
      codes: codes.subarray(index * stride),
      bit,
      bits,
      rowBytes: bytesOfRow,
      bytes: file,
    });
    bit += bits;
  }
}
