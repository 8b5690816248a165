import { z } from 'zod';
import { TersorError } from '../../errors.js';
import { addRefinement, columnSteps } from '../../grid/tersor/refinement.js';
import type { Kernels } from '../../kernels/kernels.js';
import { getIntact } from '../intact.js';

/**
 * tersor's stacked format: every prefix of the file that holds the header is a model.
 *
 *     8 bytes   TSRSTACK
 *     u32       version, 1; little-endian, as is everything
 *     u32       bytes of the header
 *     header    JSON as below, in raw deflate
 *     slices    one after another, in the order of the header's list
 *
 * A tensor is a sum of refinements: multiples of steps[0], then of steps[1], …, each times the column's factor. A slice has some rows of one refinement
 * (src/grid/tersor/refinement.ts) or, of a tensor without steps, some rows of plain f32. Refinements of the same rows come in
 * their order. What a prefix does not hold counts as zero, so that reading may stop behind any slice.
 */
export const stackMagic = 'TSRSTACK';
export const stackVersion = 1;
export const preambleBytes = 16;

const size = z
  .int()
  .positive()
  .max(2 ** 31);
const index = z
  .int()
  .min(0)
  .max(2 ** 31);

const tensorSchema = z.object({
  name: z.string(),
  /** As in the program: outermost dimension first, linear weights [out, in]. */
  shape: z.array(size).min(1).max(2),
  /** Hugging Face keeps it as [in, out]. */
  transposed: z.literal(true).optional(),
  /** Of the refinements, from the coarsest; none: f32. */
  steps: z.array(z.number().positive()).optional(),
  /** Codes of the factors that columns have on the steps, signed bytes in base64; none: all 1. */
  columns: z.base64().optional(),
});

const headerSchema = z.object({
  /** config.json. */
  config: z.record(z.string(), z.unknown()),
  /** The tokenizer's files: text, or bytes in base64. */
  files: z.record(z.string(), z.union([z.string(), z.object({ base64: z.string() })])),
  /** How the file was made. */
  provenance: z.record(z.string(), z.string()),
  tensors: z.array(tensorSchema),
  /** [tensor, refinement, first row, row behind the last, bytes] */
  slices: z.array(z.tuple([index, index, index, size, size])),
});

export type StackHeader = Readonly<z.infer<typeof headerSchema>>;
export type StackTensor = StackHeader['tensors'][number];

/** Rows of one refinement of a tensor, and where they lie. */
export interface Slice {
  readonly tensor: StackTensor;
  readonly refinement: number;
  readonly from: number;
  readonly to: number;
  /** In the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** A stacked file's table of contents. */
export interface StackContents extends Omit<StackHeader, 'slices'> {
  readonly slices: readonly Slice[];
  /** Of the whole file. */
  readonly bytes: number;
  /** Where each tensor has its first refinement complete: from here on nothing is missing. */
  readonly completeAt: number;
}

/** A tensor as rows of values; a vector is one row. */
export const stackShape = ({ shape: [first = 1, second] }: StackTensor): [rows: number, cols: number] =>
  second === undefined ? [1, first] : [first, second];

/**
 * Bytes of the header behind the preamble.
 * @throws TersorError when these are not the first bytes of a stacked file
 */
export function headerLength(preamble: Uint8Array, file: string): number {
  const view = new DataView(preamble.buffer, preamble.byteOffset, preamble.byteLength);
  const magic = preamble.length >= preambleBytes && new TextDecoder().decode(preamble.subarray(0, 8));
  if (magic !== stackMagic) throw corrupt(file, 'does not begin as a stacked model does');
  const version = view.getUint32(8, true);
  if (version !== stackVersion)
    throw new TersorError(`is of version ${version} of the stacked format`, {
      code: 'unsupported',
      file,
      remedy: 'get a newer tersor',
    });
  return view.getUint32(12, true);
}

/**
 * @param text the header, inflated
 * @param length its bytes in the file
 * @throws TersorError for a header that contradicts itself
 */
export function readContents(text: string, length: number, file: string): StackContents {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw corrupt(file, 'has a header that is not JSON');
  }
  const result = headerSchema.safeParse(json);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw corrupt(file, `has a corrupt header (${issue?.path.join('.')}: ${issue?.message.toLowerCase()})`);
  }
  const { slices: listed, ...header } = result.data;
  /** Refinements that are there, by tensor and row. */
  const present = header.tensors.map((tensor) => new Uint8Array(stackShape(tensor)[0]));
  const missing = header.tensors.map((tensor) => stackShape(tensor)[0]);
  let offset = preambleBytes + length;
  let completeAt = offset;
  for (const tensor of header.tensors) {
    const wrong = tensor.columns !== undefined && atob(tensor.columns).length !== stackShape(tensor)[1];
    if (wrong) throw corrupt(file, 'has factors of other columns than its own', tensor.name);
  }
  const slices = listed.map(([at, refinement, from, to, bytes]): Slice => {
    const [tensor, rows] = [header.tensors[at], present[at]];
    if (!tensor || !rows) throw corrupt(file, `lists a slice of tensor ${at}, which it has not`);
    const [count, cols] = stackShape(tensor);
    const plain = tensor.steps === undefined;
    const fits = from < to && to <= count && refinement < (tensor.steps?.length ?? 1);
    if (!fits || (plain && bytes !== 4 * (to - from) * cols))
      throw corrupt(file, 'lists a slice that does not fit its tensor', tensor.name);
    if (rows.subarray(from, to).some((refinements) => refinements !== refinement))
      throw corrupt(file, 'lists refinements out of order', tensor.name);
    rows.fill(refinement + 1, from, to);
    const slice = { tensor, refinement, from, to, offset, bytes };
    offset += bytes;
    if (refinement === 0) {
      missing[at] = (missing[at] ?? 0) - (to - from);
      completeAt = offset;
    }
    return slice;
  });
  if (missing.some((rows) => rows > 0)) throw corrupt(file, 'lists no slices for some rows');
  return { ...header, slices, bytes: offset, completeAt };
}

/**
 * Adds a slice to the values of its rows.
 * @param values (to − from) × cols, row-major
 * @throws TersorError when the bytes are corrupt
 */
export async function addSlice(
  kernels: Kernels,
  slice: Slice,
  bytes: Uint8Array,
  values: Float32Array,
  file: string,
): Promise<void> {
  const { tensor, refinement } = slice;
  const { steps } = tensor;
  if (steps) {
    const all = columnSteps(steps[refinement] ?? 0, stackShape(tensor)[1], columnsOf(tensor));
    if (!(await addRefinement(kernels, bytes, all, values)))
      throw corrupt(file, 'has a corrupt slice', tensor.name);
    return;
  }
  values.set(new Float32Array(bytes.slice().buffer));
  if (values.some((value) => !Number.isFinite(value)))
    throw corrupt(file, 'has a value that is NaN or infinite', tensor.name);
}

/** Codes of columns' factors. */
const columnsOf = ({ columns }: StackTensor): Int8Array | undefined =>
  columns === undefined
    ? undefined
    : Int8Array.from(atob(columns), (character) => (character.charCodeAt(0) << 24) >> 24);

/** The same as text for the header. */
export const columnsText = (codes: Int8Array): string =>
  btoa(String.fromCharCode(...Uint8Array.from(codes, (code) => code & 255)));

const corrupt = (file: string, problem: string, tensor?: string) =>
  new TersorError(problem, { file, tensor, remedy: getIntact });
