import { type Architecture, matrixShape, type TensorSpec } from '../architecture/architecture.js';
import type { ExportGraph, NodeOptions } from '../architecture/export.js';
import { onnxSuffixes } from '../checkpoint/onnx/names.js';
import type { Grid } from '../grid/grid.js';
import { isMatMulNBits, type MatMulNBitsGrid, rowParts } from '../grid/onnx/matmul-nbits.js';
import {
  type ElementType,
  elementCode,
  type OnnxConstant,
  type OnnxGraph,
  type OnnxNode,
  type OnnxValue,
} from '../runtime/onnx.js';
import type { OnnxTensor } from '../runtime/onnx-layout.js';
import { gatherNBits } from './onnx-gather.js';

/** A tensor to be written. */
export interface ExportedTensor {
  readonly name: string;
  readonly spec: TensorSpec;
  readonly grid: Grid;
}

export interface ExportOptions {
  /** Type of activations. */
  readonly float?: 'f32' | 'f16';
  /** MatMulNBits: 0 computes in the type of activations, 4 rounds them to 8 bits first. */
  readonly accuracyLevel?: 0 | 4;
}

/** A graph, and initializers of it whose data are to come. */
export interface ExportedGraph {
  readonly graph: OnnxGraph;
  readonly tensors: readonly OnnxTensor[];
}

const microsoft = 'com.microsoft';

/**
 * The graph of an architecture over weights as they will be stored: on a grid of MatMulNBits, or as plain floats,
 * which are cast when the model is loaded. Every tensor is stored once, whatever it is used for.
 */
export function exportGraph(
  architecture: Architecture,
  exported: readonly ExportedTensor[],
  { float = 'f32', accuracyLevel = 0 }: ExportOptions = {},
): ExportedGraph {
  const byRole = new Map(exported.map((tensor) => [keyOf(tensor.spec.role, tensor.spec.block), tensor]));
  const nodes: OnnxNode[] = [];
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  const constants = new Map<string, OnnxConstant>();
  const known = new Map<string, string>();
  let count = 0;

  const fresh = (op: string) => `${op}_${count++}`;
  /** What was made before under the same key. */
  const once = (key: string, make: () => string): string => {
    const value = known.get(key) ?? make();
    known.set(key, value);
    return value;
  };
  const constant = (type: ElementType, shape: readonly number[], data: Uint8Array): string => {
    const key = `${type} ${shape} ${data.join()}`;
    return once(key, () => {
      const name = fresh('const');
      constants.set(name, { name, type, shape, data });
      return name;
    });
  };
  const named = (op: string, from: readonly string[], to: readonly string[], options: NodeOptions = {}) => {
    nodes.push({ op, inputs: from, outputs: to, ...options });
    return to;
  };
  const node = (op: string, from: readonly string[], options?: NodeOptions): string =>
    named(op, from, [fresh(op)], options)[0] ?? '';
  const whole: ExportGraph['whole'] = (values, type = 'i64', scalar) => {
    const data = type === 'i64' ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
    return constant(type, scalar ? [] : [values.length], new Uint8Array(data.buffer));
  };
  const cast = (value: string, from: ElementType, to: ElementType) =>
    from === to ? value : node('Cast', [value], { attributes: { to: elementCode[to] } });
  const floats: ExportGraph['floats'] = (values, shape, type = float) => {
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return cast(constant('f32', shape, data), 'f32', type);
  };
  const find = (role: string, block: number | undefined) => byRole.get(keyOf(role, block));
  const require = (role: string, block: number | undefined): ExportedTensor => {
    const found = find(role, block);
    if (!found) throw new Error(`the graph asks for ${role}, which the model does not have`);
    return found;
  };
  const plain = ({ name, grid }: ExportedTensor) =>
    once(`float ${name}`, () => cast(name, plainType(grid), float));
  const scales = ({ name }: ExportedTensor) =>
    once(`scales ${name}`, () => cast(name + onnxSuffixes.scales, 'f16', float));

  const zeroPoints = ({ name, grid }: ExportedTensor) =>
    isMatMulNBits(grid) && grid.nbits.zeroPoints ? [name + onnxSuffixes.zeroPoints] : [];

  const multiply = (x: string, tensor: ExportedTensor): string => {
    const { name, grid, spec } = tensor;
    if (!isMatMulNBits(grid)) {
      const turned = once(`turned ${name}`, () =>
        node('Transpose', [plain(tensor)], { attributes: { perm: [1, 0] } }),
      );
      return node('MatMul', [x, turned]);
    }
    const [rows, cols] = matrixShape(spec);
    return node('MatMulNBits', [x, name + onnxSuffixes.codes, scales(tensor), ...zeroPoints(tensor)], {
      domain: microsoft,
      attributes: {
        K: cols,
        N: rows,
        bits: grid.nbits.bits,
        block_size: grid.nbits.groupSize,
        accuracy_level: accuracyLevel,
      },
    });
  };

  architecture.exportGraph?.({
    float,
    node,
    whole,
    nodes: (op, from, results, options) => [
      ...named(
        op,
        from,
        Array.from({ length: results }, () => fresh(op)),
        options,
      ),
    ],
    input(name, type = float, shape) {
      inputs.push({ name, type, shape });
      return name;
    },
    output(name, value, shape, type = float) {
      if (type === float) named('Identity', [value], [name]);
      else named('Cast', [value], [name], { attributes: { to: elementCode[type] } });
      outputs.push({ name, type, shape });
    },
    floats,
    weight(role, block) {
      const tensor = find(role, block);
      return tensor && plain(tensor);
    },
    linear(x, role, block) {
      const product = multiply(x, require(`${role}.weight`, block));
      const bias = find(`${role}.bias`, block);
      return bias ? node('Add', [product, plain(bias)]) : product;
    },
    gather(role, indices) {
      const tensor = require(role, undefined);
      const { name, grid } = tensor;
      if (!isMatMulNBits(grid)) {
        return cast(node('Gather', [name, indices], { attributes: { axis: 0 } }), plainType(grid), float);
      }
      const [zeroPoint] = zeroPoints(tensor);
      const table = {
        codes: name + onnxSuffixes.codes,
        scales: scales(tensor),
        ...(zeroPoint === undefined ? {} : { zeroPoints: zeroPoint }),
        cols: matrixShape(tensor.spec)[1],
        nbits: grid.nbits,
      };
      return gatherNBits({ float, node, whole, floats }, table, indices);
    },
  });
  return {
    graph: { nodes, inputs, outputs, constants: [...constants.values()] },
    tensors: exported.flatMap(initializersOf),
  };
}

const keyOf = (role: string, block: number | undefined) => `${block ?? ''} ${role}`;

/** The type of floats that a grid without codes stores. */
function plainType({ name, levels }: Grid): 'f32' | 'f16' | 'bf16' {
  if (levels.kind === 'cast') return levels.type;
  throw new Error(`${name} can be neither multiplied with nor cast`);
}

function initializersOf({ name, spec, grid }: ExportedTensor): OnnxTensor[] {
  const [rows, cols] = matrixShape(spec);
  if (!isMatMulNBits(grid)) {
    return [{ name, type: plainType(grid), shape: spec.shape, bytes: grid.bytes(rows, cols) }];
  }
  return partsOf(name, grid, cols).flatMap(({ key, length, type, inner }) =>
    length === 0
      ? []
      : {
          name: key,
          type,
          shape: [rows, ...inner],
          bytes: rows * length,
        },
  );
}

/** The initializers that a tensor on a grid of MatMulNBits consists of, in the order of a packed row. */
export function partsOf(name: string, grid: MatMulNBitsGrid, cols: number) {
  const parts = rowParts(grid, cols);
  const groups = cols / grid.nbits.groupSize;
  return [
    {
      key: name + onnxSuffixes.codes,
      type: 'u8',
      length: parts.codes,
      inner: [groups, parts.codes / groups],
    },
    { key: name + onnxSuffixes.scales, type: 'f16', length: parts.scales, inner: [groups] },
    {
      key: name + onnxSuffixes.zeroPoints,
      type: 'u8',
      length: parts.zeroPoints,
      inner: [parts.zeroPoints],
    },
  ] as const;
}
