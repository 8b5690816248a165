/** Value types of GGUF key-value pairs, numbered as the format numbers them (gguf.h, enum gguf_type). */
export const metadataType = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

type NumberType = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'f64';

type ScalarType = NumberType | 'u64' | 'i64' | 'bool';

/** One typed value of a GGUF header. */
export type MetadataValue =
  | { readonly type: NumberType; readonly value: number }
  | { readonly type: 'u64' | 'i64'; readonly value: number | bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'array'; readonly of: NumberType; readonly value: ArrayLike<number> }
  | { readonly type: 'array'; readonly of: 'bool'; readonly value: ArrayLike<boolean> }
  | { readonly type: 'array'; readonly of: 'string'; readonly value: readonly string[] };

/** Key-value pairs of a GGUF header; written in the order of the keys. */
export type Metadata = Readonly<Record<string, MetadataValue>>;

/** Where the bytes of a header go: into a buffer, or nowhere to learn how many there are. */
export interface Sink {
  string(value: string): void;
  number(type: ScalarType, value: number | bigint): void;
}

type Write = (view: DataView, at: number, value: number | bigint) => void;

/** Bytes of a number and how they are put into a file, little-endian. */
const numbers: Record<ScalarType, readonly [bytes: number, write: Write]> = {
  u8: [1, (view, at, value) => view.setUint8(at, Number(value))],
  i8: [1, (view, at, value) => view.setInt8(at, Number(value))],
  bool: [1, (view, at, value) => view.setUint8(at, Number(value))],
  u16: [2, (view, at, value) => view.setUint16(at, Number(value), true)],
  i16: [2, (view, at, value) => view.setInt16(at, Number(value), true)],
  u32: [4, (view, at, value) => view.setUint32(at, Number(value), true)],
  i32: [4, (view, at, value) => view.setInt32(at, Number(value), true)],
  f32: [4, (view, at, value) => view.setFloat32(at, Number(value), true)],
  u64: [8, (view, at, value) => view.setBigUint64(at, BigInt(value), true)],
  i64: [8, (view, at, value) => view.setBigInt64(at, BigInt(value), true)],
  f64: [8, (view, at, value) => view.setFloat64(at, Number(value), true)],
};

/** A sink that counts. */
export function createCounter(): Sink & { readonly bytes: () => number } {
  let bytes = 0;
  return {
    bytes: () => bytes,
    string(value) {
      bytes += 8 + Buffer.byteLength(value);
    },
    number(type) {
      bytes += numbers[type][0];
    },
  };
}

/** A sink that fills `buffer` from its beginning, little-endian. */
export function createFiller(buffer: Buffer): Sink {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  let at = 0;
  return {
    string(value) {
      const bytes = buffer.write(value, at + 8);
      view.setBigUint64(at, BigInt(bytes), true);
      at += 8 + bytes;
    },
    number(type, value) {
      const [bytes, write] = numbers[type];
      write(view, at, value);
      at += bytes;
    },
  };
}

/** Sends one key-value pair to the sink. */
export function putPair(sink: Sink, key: string, value: MetadataValue): void {
  sink.string(key);
  sink.number('u32', metadataType[value.type]);
  switch (value.type) {
    case 'string':
      sink.string(value.value);
      break;
    case 'bool':
      sink.number('bool', Number(value.value));
      break;
    case 'array':
      sink.number('u32', metadataType[value.of]);
      sink.number('u64', value.value.length);
      if (value.of === 'string') for (const item of value.value) sink.string(item);
      else for (const item of Array.from<number | boolean>(value.value)) sink.number(value.of, Number(item));
      break;
    default:
      sink.number(value.type, value.value);
  }
}
