import { TersorError } from '../../errors.js';
import { getIntact, type RangedFile } from '../file.js';

// @huggingface/gguf reads the same facts, but pads a truncated file with zeros in place of refusing it, parses
// from the start of the file again for every 2 MB, and drops a byte-order mark that is a token of its own.

/** A GGUF file's header (format: docs/gguf.md of ggml, versions 2 and 3, little-endian). */
export interface GgufHeader {
  /** All key-value pairs; 64-bit integers as numbers where a number holds them exactly, else as bigints. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** `enum gguf_metadata_value_type` of every pair, and of an array's items. */
  readonly types: ReadonlyMap<string, GgufValueType>;
  readonly tensors: readonly GgufTensorHeader[];
  /** Bytes before the padding in front of the data. */
  readonly bytes: number;
}

export interface GgufValueType {
  readonly type: number;
  readonly of?: number;
}

export interface GgufTensorHeader {
  readonly name: string;
  /** Innermost dimension first, as in the file. */
  readonly dimensions: readonly number[];
  /** `enum ggml_type`. */
  readonly type: number;
  /** From the start of the data. */
  readonly offset: number;
}

/** Read first; headers of vocabularies with 100,000 tokens take up to 10 MB. */
const firstRead = 2 ** 22;
/** No vocabulary comes near it: the header of a corrupt file must not fill the memory. */
const largestHeader = 2 ** 28;
/** GGML_MAX_DIMS. */
const largestRank = 4;
/** GGUF allows arrays of arrays; nobody nests them deeper than once. */
const deepestNesting = 4;

const magic = 0x46554747; // "GGUF"
const stringType = 8;
const arrayType = 9;

/** `enum gguf_metadata_value_type`: bytes of a value and how to read it. */
const scalars = new Map<number, readonly [bytes: number, read: (view: DataView, at: number) => unknown]>([
  [0, [1, (view, at) => view.getUint8(at)]],
  [1, [1, (view, at) => view.getInt8(at)]],
  [2, [2, (view, at) => view.getUint16(at, true)]],
  [3, [2, (view, at) => view.getInt16(at, true)]],
  [4, [4, (view, at) => view.getUint32(at, true)]],
  [5, [4, (view, at) => view.getInt32(at, true)]],
  [6, [4, (view, at) => view.getFloat32(at, true)]],
  [7, [1, (view, at) => view.getUint8(at) !== 0]],
  [10, [8, (view, at) => exact(view.getBigUint64(at, true))]],
  [11, [8, (view, at) => exact(view.getBigInt64(at, true))]],
  [12, [8, (view, at) => view.getFloat64(at, true)]],
]);

const exact = (value: bigint) => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

/** Thrown inside the parser where the part of the file that was read ends. */
class PrefixEnds extends Error {}

/** @throws TersorError when the header is corrupt, truncated or of another version */
export async function readGgufHeader(file: RangedFile): Promise<GgufHeader> {
  for (let length = firstRead; ; length *= 2) {
    const prefix = Buffer.alloc(Math.min(length, file.size));
    await file.read(0, prefix);
    try {
      return parse(prefix, file);
    } catch (error) {
      if (!(error instanceof PrefixEnds)) throw error;
      if (length >= largestHeader) {
        throw new TersorError(`has a header of more than ${length} bytes`, {
          file: file.path,
          remedy: getIntact,
        });
      }
    }
  }
}

function parse(prefix: Buffer, file: RangedFile): GgufHeader {
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.length);
  let at = 0;
  let place = 'the header';
  const corrupt = (problem: string) => new TersorError(problem, { file: file.path, remedy: getIntact });

  /** Steps over `bytes` and returns where they start. */
  const take = (bytes: number): number => {
    const start = at;
    if (start + bytes > file.size) throw corrupt(`ends inside ${place}; it is truncated or corrupt`);
    if (start + bytes > prefix.length) throw new PrefixEnds();
    at += bytes;
    return start;
  };
  const u32 = () => view.getUint32(take(4), true);
  const u64 = () => {
    const start = take(8);
    return view.getUint32(start, true) + view.getUint32(start + 4, true) * 2 ** 32;
  };
  /** Reads how many items of at least `itemBytes` follow. */
  const count = (itemBytes: number): number => {
    const items = u64();
    if (items * itemBytes > file.size - at) {
      throw corrupt(`says that ${items} items follow in ${place}, more than the file holds`);
    }
    if (items * itemBytes > prefix.length - at) throw new PrefixEnds();
    return items;
  };
  const text = (): string => {
    const length = count(1);
    const start = take(length);
    return prefix.toString('utf8', start, start + length);
  };
  /** Of the last array that was the value of a pair. */
  let itemTypeRead = 0;
  const value = (type: number, depth: number): unknown => {
    if (type === stringType) return text();
    if (type === arrayType) {
      if (depth === deepestNesting) throw corrupt(`has arrays nested deeper than ${depth} in ${place}`);
      const itemType = u32();
      if (depth === 0) itemTypeRead = itemType;
      const items = count(scalars.get(itemType)?.[0] ?? 8);
      return Array.from({ length: items }, () => value(itemType, depth + 1));
    }
    const scalar = scalars.get(type);
    if (!scalar) throw corrupt(`has the unknown value type ${type} in ${place}`);
    const [bytes, read] = scalar;
    return read(view, take(bytes));
  };

  if (u32() !== magic) {
    throw new TersorError('does not begin with GGUF', { file: file.path, remedy: 'give a GGUF file' });
  }
  const version = u32();
  if (version !== 2 && version !== 3) {
    // Big-endian files have their version in the upper bytes.
    const kind = version >= 2 ** 16 ? 'is a big-endian GGUF file' : `has GGUF version ${version}`;
    throw new TersorError(kind, {
      code: 'unsupported',
      file: file.path,
      remedy: 'convert the model again: versions 2 and 3 are read',
    });
  }
  const tensorCount = count(24);
  const pairs = count(12);
  // Keys are the file's choice: without a prototype none of them can stand for something inherited.
  const metadata: Record<string, unknown> = Object.create(null);
  const types = new Map<string, GgufValueType>();
  for (let pair = 0; pair < pairs; pair++) {
    place = `key-value pair ${pair}`;
    const key = text();
    place = `the value of ${key}`;
    const type = u32();
    metadata[key] = value(type, 0);
    types.set(key, type === arrayType ? { type, of: itemTypeRead } : { type });
  }
  const tensors = Array.from({ length: tensorCount }, (_, index): GgufTensorHeader => {
    place = `the description of tensor ${index}`;
    const name = text();
    place = `the description of tensor ${name}`;
    const rank = u32();
    if (rank > largestRank) throw corrupt(`has ${rank} dimensions in ${place}`);
    const dimensions = Array.from({ length: rank }, u64);
    return { name, dimensions, type: u32(), offset: u64() };
  });
  return { metadata, types, tensors, bytes: at };
}
