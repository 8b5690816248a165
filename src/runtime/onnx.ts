import protobuf from 'protobufjs';

/**
 * The part of the ONNX protocol buffers (onnx.proto3, IR version 10) that tersor writes. Field numbers are
 * those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
 */
export const onnxSchema = protobuf.parse(`
  syntax = "proto3";
  message Attribute {
    string name = 1; float f = 2; int64 i = 3; bytes s = 4; Tensor t = 5;
    repeated float floats = 7; repeated int64 ints = 8; int32 type = 20;
  }
  message Node {
    repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4;
    repeated Attribute attribute = 5; string domain = 7;
  }
  message Entry { string key = 1; string value = 2; }
  message Tensor {
    repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9;
    repeated Entry external_data = 13; int32 data_location = 14;
  }
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
    repeated Entry metadata_props = 14;
  }
`).root;

export type ElementType = 'f32' | 'i64' | 'i32' | 'bool' | 'u8' | 'f16' | 'bf16';
/** TensorProto.DataType */
export const elementCode: Readonly<Record<ElementType, number>> = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  bf16: 16,
};

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
  const Model = onnxSchema.lookupType('Model');
  return Model.encode(Model.create({ ...modelMessage(graph), graph: graphMessage(graph) })).finish();
}

/** A ModelProto without its graph. */
export function modelMessage({ nodes }: Pick<OnnxGraph, 'nodes'>) {
  const domains = new Set(nodes.map((node) => node.domain ?? ''));
  return {
    irVersion: 10,
    producerName: 'tersor',
    opsetImport: [...domains.add('')].map((domain) => ({ domain, version: domain === '' ? 21 : 1 })),
  };
}

/** A GraphProto. */
export function graphMessage(graph: OnnxGraph) {
  return {
    name: 'tersor',
    node: graph.nodes.map((node) => ({
      input: node.inputs,
      output: node.outputs,
      name: node.outputs[0],
      opType: node.op,
      domain: node.domain ?? '',
      attribute: Object.entries(node.attributes ?? {}).map(([name, value]) => attribute(name, value)),
    })),
    initializer: (graph.constants ?? []).map(({ data, ...about }) => ({
      ...tensorMessage(about),
      rawData: data,
    })),
    input: graph.inputs.map(valueInfo),
    output: graph.outputs.map(valueInfo),
  };
}

/** A TensorProto without its data. */
export function tensorMessage({ name, type, shape }: Omit<OnnxConstant, 'data'>) {
  return { dims: shape, dataType: elementCode[type], name };
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
