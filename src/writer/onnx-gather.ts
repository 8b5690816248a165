import type { ExportGraph } from '../architecture/export.js';
import type { MatMulNBits } from '../grid/onnx/matmul-nbits.js';
import { elementCode } from '../runtime/onnx.js';

/** A table on a grid of MatMulNBits: initializers, and its scales in the type of activations. */
export interface NBitsTable {
  readonly codes: string;
  readonly scales: string;
  readonly zeroPoints?: string;
  readonly cols: number;
  readonly nbits: MatMulNBits;
}

type Nodes = Pick<ExportGraph, 'node' | 'whole' | 'floats' | 'float'>;

/**
 * Rows of a table by indices [batch, length], decoded to [batch, length, cols]: `scale · (code − zero)` of the rows that
 * are asked for, out of the bytes that MatMulNBits reads. In operators that every build of onnxruntime has:
 * GatherBlockQuantized is missing from the build for browsers that transformers.js loads, and needs a copy of a table
 * that is the output head, too.
 */
export function gatherNBits(graph: Nodes, table: NBitsTable, indices: string): string {
  const { bits, groupSize } = table.nbits;
  const groups = table.cols / groupSize;
  const pick = (values: string) => graph.node('Gather', [values, indices], { attributes: { axis: 0 } });
  const pickBytes = (values: string) =>
    graph.node('Cast', [pick(values)], { attributes: { to: elementCode[graph.float] } });
  const shaped = (value: string, shape: readonly number[]) =>
    graph.node('Reshape', [value, graph.whole(shape)]);
  const codes = shaped(digits(graph, pickBytes(table.codes), bits), [0, 0, groups, groupSize]);
  const centred = graph.node('Sub', [codes, zeros()]);
  const scaled = graph.node('Mul', [centred, shaped(pick(table.scales), [0, 0, groups, 1])]);
  return shaped(scaled, [0, 0, -1]);

  function zeros(): string {
    if (table.zeroPoints === undefined) return graph.floats(Float32Array.of(2 ** (bits - 1)), [1]);
    const padded = shaped(digits(graph, pickBytes(table.zeroPoints), bits), [0, 0, -1, 1]);
    return graph.node('Slice', [padded, graph.whole([0]), graph.whole([groups]), graph.whole([2])]);
  }
}

/** The numbers of `bits` bits that bytes consist of, the lowest first, in a dimension of their own at the end. */
function digits(graph: Nodes, bytes: string, bits: number): string {
  const count = 8 / bits;
  const unit = (index: number) => graph.floats(Float32Array.of(2 ** (bits * index)), [1]);
  const found: string[] = [];
  let rest = bytes;
  for (let index = count - 1; index > 0; index--) {
    const digit = graph.node('Floor', [graph.node('Div', [rest, unit(index)])]);
    rest = graph.node('Sub', [rest, graph.node('Mul', [digit, unit(index)])]);
    found.unshift(digit);
  }
  if (count === 1) return bytes;
  const columns = [rest, ...found].map((value) => graph.node('Unsqueeze', [value, graph.whole([-1])]));
  return graph.node('Concat', columns, { attributes: { axis: -1 } });
}
