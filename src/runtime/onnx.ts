import protobuf from 'protobufjs';

/**
 * The part of the ONNX protocol buffers (onnx.proto3, IR version 10) that tersor writes. Field numbers are
 * those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
 */
const schema = protobuf.parse(`
  syntax = "proto3";
  message Attribute {
    string name = 1; float f = 2; int64 i = 3; bytes s = 4; Tensor t = 5;
    repeated float floats = 7; repeated int64 ints = 8; int32 type = 20;
  }
  message Node {
    repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4;
    repeated Attribute attribute = 5; string domain = 7;
  }
  message Tensor { repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9; }
  message Dimension { int64 dim_value = 1; string dim_param = 2; }
  message Shape { repeated Dimension dim = 1; }
  message TensorType { int32 elem_type = 1; Shape shape = 2; }
  message Type { TensorType tensor_type = 1; }
  message ValueInfo { string name = 1; Type type = 2; }
  message Graph {
    repeated Node node = 1; string name = 2; repeated Tensor initializer = 5;
    repeated ValueInfo input = 11; repeated ValueInfo output = 12;
  }
  message OperatorSet { string domain = 1; int64 version = 2; }
  message Model {
    int64 ir_version = 1; string producer_name = 2; Graph graph = 7; repeated OperatorSet opset_import = 8;
  }
`).root;

export type ElementType = 'f32' | 'i64' | 'i32' | 'bool';
/** TensorProto.DataType */
const elementCode: Record<ElementType, number> = { f32: 1, i32: 6, i64: 7, bool: 9 };

/** Attribute values: whole numbers become ints, `{ float }` a float, arrays ints. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly domain?: string;
}

export interface OnnxValue {
  readonly name: string;
  readonly type: ElementType;
  /** A string is a symbolic dimension. */
  readonly shape: readonly (number | string)[];
}

export interface OnnxConstant {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly constants?: readonly OnnxConstant[];
}

/** Serialises a graph as an ONNX model (opset 21 with com.microsoft 1). */
export function encodeOnnx(graph: OnnxGraph): Uint8Array {
  const Model = schema.lookupType('Model');
  const domains = new Set(graph.nodes.map((node) => node.domain ?? ''));
  const model = {
    irVersion: 10,
    producerName: 'tersor',
    opsetImport: [...domains.add('')].map((domain) => ({ domain, version: domain === '' ? 21 : 1 })),
    graph: {
      name: 'tersor',
      node: graph.nodes.map((node) => ({
        input: node.inputs,
        output: node.outputs,
        name: node.outputs[0],
        opType: node.op,
        domain: node.domain ?? '',
        attribute: Object.entries(node.attributes ?? {}).map(([name, value]) => attribute(name, value)),
      })),
      initializer: (graph.constants ?? []).map(({ name, type, shape, data }) => ({
        dims: shape,
        dataType: elementCode[type],
        name,
        rawData: data,
      })),
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
    },
  };
  return Model.encode(Model.create(model)).finish();
}

function attribute(name: string, value: OnnxAttribute) {
  // AttributeProto.AttributeType: FLOAT 1, INT 2, STRING 3, INTS 7
  if (typeof value === 'number') return { name, i: value, type: 2 };
  if (typeof value === 'string') return { name, s: new TextEncoder().encode(value), type: 3 };
  if ('float' in value) return { name, f: value.float, type: 1 };
  return { name, ints: value, type: 7 };
}

function valueInfo({ name, type, shape }: OnnxValue) {
  const dim = shape.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size }));
  return { name, type: { tensorType: { elemType: elementCode[type], shape: { dim } } } };
}
