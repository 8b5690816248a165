import { dirname, join } from 'node:path';
import { TersorError } from '../../errors.js';
import { type ElementType, elementCode } from '../../runtime/onnx.js';
import { getIntact, type RangedFile } from '../file.js';
import { createProtobufReader, type Field, type ProtobufReader, packedVarints, wire } from './protobuf.js';

/** Data of an initializer: in the model file, or in one beside it. */
export interface OnnxInitializer {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
  /** Path of the file of external data that they lie in. */
  readonly external?: string;
}

export interface OnnxHeader {
  readonly initializers: ReadonlyMap<string, OnnxInitializer>;
  /** ModelProto.metadata_props */
  readonly metadata: Readonly<Record<string, string>>;
}

// Field numbers of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
const fields = {
  model: { graph: 7, metadata: 14 },
  graph: { initializer: 5 },
  tensor: { dims: 1, type: 2, name: 8, data: 9, external: 13 },
  entry: { key: 1, value: 2 },
} as const;

const types = new Map(Object.entries(elementCode).map(([name, code]) => [code, name as ElementType]));

/**
 * What an ONNX file says of its initializers with raw data, and its metadata; nothing else is read.
 * @throws TersorError when the file is corrupt
 */
export async function readOnnxHeader(file: RangedFile): Promise<OnnxHeader> {
  const reader = createProtobufReader(file);
  const initializers = new Map<string, OnnxInitializer>();
  const metadata: Record<string, string> = Object.create(null);
  for await (const field of reader.fields(0, file.size)) {
    if (field.type !== wire.bytes) continue;
    if (field.number === fields.model.metadata) {
      const [key, value] = await readEntry(reader, field);
      metadata[key] = value;
    }
    if (field.number !== fields.model.graph) continue;
    for await (const part of reader.fields(field.position, field.position + field.length)) {
      if (part.number !== fields.graph.initializer || part.type !== wire.bytes) continue;
      const found = await readInitializer(reader, part, file);
      if (found) initializers.set(found.name, found);
    }
  }
  return { initializers, metadata };
}

async function readInitializer(
  reader: ProtobufReader,
  message: Field,
  file: RangedFile,
): Promise<OnnxInitializer | undefined> {
  let name = '';
  let type: ElementType | undefined;
  const shape: number[] = [];
  let place: { offset: number; bytes: number; external?: string } | undefined;
  const external: Record<string, string> = Object.create(null);
  for await (const field of reader.fields(message.position, message.position + message.length)) {
    if (field.number === fields.tensor.name) name = await reader.text(field);
    else if (field.number === fields.tensor.type) type = types.get(field.value);
    else if (field.number === fields.tensor.dims) {
      if (field.type === wire.varint) shape.push(field.value);
      else shape.push(...packedVarints(await reader.bytes(field)));
    } else if (field.number === fields.tensor.data) place = { offset: field.position, bytes: field.length };
    else if (field.number === fields.tensor.external) {
      const [key, value] = await readEntry(reader, field);
      external[key] = value;
    }
  }
  const { location } = external;
  if (location !== undefined) {
    // A location anywhere but beside the model would let a downloaded model read files of its choice.
    if (!/^\w[\w.-]*$/.test(location)) {
      throw new TersorError(`names the file ${JSON.stringify(location)}, which is no plain file name`, {
        file: file.path,
        tensor: name,
        remedy: 'do not trust this model',
      });
    }
    const [offset, bytes] = [Number(external.offset ?? 0), Number(external.length)];
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(bytes)) {
      throw new TersorError('has no valid place in the file of external data', {
        file: file.path,
        tensor: name,
        remedy: getIntact,
      });
    }
    place = { offset, bytes, external: join(dirname(file.path), location) };
  }
  return type && place && { name, type, shape, ...place };
}

async function readEntry(reader: ProtobufReader, message: Field): Promise<readonly [string, string]> {
  let [key, value] = ['', ''];
  for await (const field of reader.fields(message.position, message.position + message.length)) {
    if (field.number === fields.entry.key) key = await reader.text(field);
    if (field.number === fields.entry.value) value = await reader.text(field);
  }
  return [key, value];
}
