import {
  graphMessage,
  modelMessage,
  type OnnxConstant,
  type OnnxGraph,
  onnxSchema,
  tensorMessage,
} from './onnx.js';

/** An initializer whose data are written later. */
export interface OnnxTensor extends Omit<OnnxConstant, 'data'> {
  readonly bytes: number;
}

/** A run of a file. */
export interface Piece {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Where the data of an initializer lie. */
export interface Place {
  readonly name: string;
  readonly position: number;
  readonly bytes: number;
}

/** A model file of which everything is known but the data of some initializers. */
export interface OnnxLayout {
  /** Size of the model file. */
  readonly bytes: number;
  /** All of the model file besides those data. */
  readonly pieces: readonly Piece[];
  /** In the model file, or in the file of external data. */
  readonly places: readonly Place[];
  /** Size of the file of external data, if there is one. */
  readonly externalBytes?: number;
}

/** What comes with a model besides its graph. */
export interface OnnxLayoutOptions {
  /** Key-value pairs for `metadata_props`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Name of the file beside the model that takes the data of `tensors`. */
  readonly external?: string;
}

/** Tags of protocol buffers: (field number << 3) | wire type, here 2: a length and so many bytes. */
const tags = { modelGraph: 0x3a, graphInitializer: 0x2a, tensorRawData: 0x4a };

/** onnxruntime maps external data into memory where they begin at a multiple of a page. */
const externalAlignment = 4096;

/**
 * Lays a model out: `tensors` are initializers after those of the graph, with room for their data. The order of fields
 * is free in protocol buffers, so that a graph's initializers can come last.
 */
export function layoutOnnx(
  graph: OnnxGraph,
  tensors: readonly OnnxTensor[],
  { metadata = {}, external }: OnnxLayoutOptions = {},
): OnnxLayout {
  const head = encode('Model', {
    ...modelMessage(graph),
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
  const body = encode('Graph', graphMessage(graph));
  let externalEnd = 0;
  const places: Place[] = [];
  const frames = tensors.map((tensor) => {
    const { name, bytes } = tensor;
    if (external !== undefined) {
      const position = Math.ceil(externalEnd / externalAlignment) * externalAlignment;
      externalEnd = position + bytes;
      places.push({ name, position, bytes });
      const entries = { location: external, offset: String(position), length: String(bytes) };
      const message = encode('Tensor', {
        ...tensorMessage(tensor),
        dataLocation: 1,
        externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
      });
      return { name, frame: concatenate([tags.graphInitializer], varint(message.length), message), bytes: 0 };
    }
    const message = concatenate(encode('Tensor', tensorMessage(tensor)), [tags.tensorRawData], varint(bytes));
    const frame = concatenate([tags.graphInitializer], varint(message.length + bytes), message);
    return { name, frame, bytes };
  });
  const graphBytes = frames.reduce((sum, { frame, bytes }) => sum + frame.length + bytes, body.length);
  const pieces: Piece[] = [
    { position: 0, bytes: concatenate(head, [tags.modelGraph], varint(graphBytes), body) },
  ];
  let end = pieces[0]?.bytes.length ?? 0;
  for (const { name, frame, bytes } of frames) {
    pieces.push({ position: end, bytes: frame });
    end += frame.length;
    if (external === undefined) places.push({ name, position: end, bytes });
    end += bytes;
  }
  return { bytes: end, pieces, places, ...(external === undefined ? {} : { externalBytes: externalEnd }) };
}

function encode(type: string, message: Record<string, unknown>): Uint8Array {
  const Type = onnxSchema.lookupType(type);
  return Type.encode(Type.create(message)).finish();
}

/** A whole number as protocol buffers write it: seven bits a byte, the lowest first. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}

function concatenate(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
