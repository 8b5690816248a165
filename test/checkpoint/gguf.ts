/** Concatenated little-endian pieces of a GGUF file. */
export const u8 = (value: number): Uint8Array => Uint8Array.of(value);
export const u32 = (value: number): Uint8Array => written(4, (view) => view.setUint32(0, value, true));
export const u64 = (value: number | bigint): Uint8Array =>
  written(8, (view) => view.setBigUint64(0, BigInt(value), true));
export const f32 = (value: number): Uint8Array => written(4, (view) => view.setFloat32(0, value, true));
export const f64 = (value: number): Uint8Array => written(8, (view) => view.setFloat64(0, value, true));
export const text = (value: string): Uint8Array => {
  const bytes = new TextEncoder().encode(value);
  return Buffer.concat([u64(bytes.length), bytes]);
};

/** `enum gguf_metadata_value_type`. */
export const valueType = {
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

export const pair = (key: string, type: number, value: Uint8Array): Uint8Array =>
  Buffer.concat([text(key), u32(type), value]);

export const array = (type: number, items: readonly Uint8Array[]): Uint8Array =>
  Buffer.concat([u32(type), u64(items.length), ...items]);

/** A tensor as it goes into a GGUF; `offset` is filled in when absent. */
export interface RawGgufTensor {
  readonly name: string;
  /** Innermost first. */
  readonly dimensions: readonly (number | bigint)[];
  readonly type: number;
  readonly data: Uint8Array;
  readonly offset?: number;
}

export interface RawGguf {
  readonly magic?: string;
  readonly version?: number;
  readonly pairs?: readonly Uint8Array[];
  readonly tensors?: readonly RawGgufTensor[];
  readonly alignment?: number;
}

/** A GGUF file of what is given, right or wrong. */
export function gguf({
  magic = 'GGUF',
  version = 3,
  pairs = [],
  tensors = [],
  alignment = 32,
}: RawGguf): Uint8Array {
  const padded = (length: number) => Math.ceil(length / alignment) * alignment;
  const pad = (bytes: Uint8Array) =>
    Buffer.concat([bytes, new Uint8Array(padded(bytes.length) - bytes.length)]);
  let end = 0;
  const infos = tensors.map(({ name, dimensions, type, data, offset = end }) => {
    end += padded(data.length);
    return Buffer.concat([
      text(name),
      u32(dimensions.length),
      ...dimensions.map(u64),
      u32(type),
      u64(offset),
    ]);
  });
  const counts = [u32(version), u64(tensors.length), u64(pairs.length)];
  const header = Buffer.concat([new TextEncoder().encode(magic), ...counts, ...pairs, ...infos]);
  return new Uint8Array(Buffer.concat([pad(header), ...tensors.map(({ data }) => pad(data))]));
}

function written(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}
