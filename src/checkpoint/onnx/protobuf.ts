import { TersorError } from '../../errors.js';
import { getIntact, type RangedFile } from '../file.js';

/** Bytes fetched at a time; headers of tensors are small, and their data are skipped. */
const windowBytes = 1 << 16;
/** The longest string or nested message that is read as a whole. */
const longestValue = 1 << 28;

/** Wire types of protocol buffers (https://protobuf.dev/programming-guides/encoding). */
export const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** One field of a message; `length` bytes of a nested message, string or vector begin at `position`. */
export interface Field {
  readonly number: number;
  readonly type: number;
  /** Of a varint. */
  readonly value: number;
  readonly position: number;
  readonly length: number;
}

/** Reads protocol buffers from a file without reading what is skipped. */
export interface ProtobufReader {
  /** The fields of the message in [from, to), in their order. */
  fields(from: number, to: number): AsyncGenerator<Field>;
  bytes(field: Field): Promise<Uint8Array>;
  text(field: Field): Promise<string>;
}

/** @throws TersorError, while reading, when lengths do not fit into each other */
export function createProtobufReader(file: RangedFile): ProtobufReader {
  let window = new Uint8Array();
  let start = 0;
  const corrupt = (position: number) =>
    new TersorError(`is not a valid protocol buffer at byte ${position}`, {
      file: file.path,
      remedy: getIntact,
    });
  const byteAt = async (position: number): Promise<number> => {
    if (position < start || position >= start + window.length) {
      if (position >= file.size) throw corrupt(position);
      window = new Uint8Array(Math.min(windowBytes, file.size - position));
      start = position;
      await file.read(start, window);
    }
    return window[position - start] ?? 0;
  };
  const varint = async (from: number): Promise<readonly [value: number, next: number]> => {
    let value = 0;
    let factor = 1;
    for (let at = from; at < from + 10; at++, factor *= 128) {
      const byte = await byteAt(at);
      value += (byte & 127) * factor;
      if (byte < 128) return [value, at + 1];
    }
    throw corrupt(from);
  };
  const bytes = async ({ position, length }: Field): Promise<Uint8Array> => {
    if (length > longestValue) throw corrupt(position);
    const result = new Uint8Array(length);
    await file.read(position, result);
    return result;
  };
  return {
    async *fields(from, to) {
      for (let at = from; at < to; ) {
        const [tag, afterTag] = await varint(at);
        const [number, type] = [Math.floor(tag / 8), tag % 8];
        if (type === wire.varint) {
          const [value, next] = await varint(afterTag);
          yield { number, type, value, position: afterTag, length: 0 };
          at = next;
          continue;
        }
        let [length, position] = [type === wire.fixed64 ? 8 : 4, afterTag];
        if (type === wire.bytes) [length, position] = await varint(afterTag);
        else if (type !== wire.fixed64 && type !== wire.fixed32) throw corrupt(at);
        if (position + length > to) throw corrupt(at);
        yield { number, type, value: 0, position, length };
        at = position + length;
      }
    },
    bytes,
    text: async (field) => new TextDecoder().decode(await bytes(field)),
  };
}

/** The whole numbers of a packed field. */
export function packedVarints(bytes: Uint8Array): number[] {
  const values: number[] = [];
  let value = 0;
  let factor = 1;
  for (const byte of bytes) {
    value += (byte & 127) * factor;
    factor *= 128;
    if (byte >= 128) continue;
    values.push(value);
    [value, factor] = [0, 1];
  }
  return values;
}
