import type { OnnxConstant, OnnxNode, OnnxValue } from '../runtime/onnx.js';
import { createSession, type Dense, type RuntimeOptions } from '../runtime/session.js';
import { elements, ops } from './ops.js';
import { topological, type Value } from './value.js';

export type Arrays = Readonly<Record<string, Dense['data']>>;

/** A compiled tensor program: named arrays in, named arrays out. Weights are inputs like any other. */
export interface Program {
  /** Shape of every input, by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** The same of every output. */
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  /** Names of outputs that may have fewer rows than their shape says, which only the run tells. */
  readonly bounded: ReadonlySet<string>;
  /**
   * @param inputs arrays by input name; names that the program does not know are ignored
   * @param into arrays that receive the outputs of that name in place of fresh allocations
   */
  run(inputs: Arrays, into?: Arrays): Promise<Record<string, Float32Array>>;
  release(): Promise<void>;
}

// Larger constants (masks, rotary tables) are handed over at each run instead of being written into the model.
const inlineBytes = 1024;

/** Lowers the values that the outputs need to ONNX and compiles them for onnxruntime. */
export async function compile(
  outputs: Readonly<Record<string, Value>>,
  options: RuntimeOptions = {},
): Promise<Program> {
  const values = topological(Object.values(outputs));
  const names = nameValues(values, outputs);
  const name = (value: Value) => names.get(value) ?? '';

  const nodes: OnnxNode[] = [];
  const constants: OnnxConstant[] = [];
  const bound: Record<string, Dense> = {};
  const inputs: OnnxValue[] = [];
  for (const value of values) {
    const { type, shape, data } = value;
    if (value.op === 'input') inputs.push({ name: name(value), type, shape: declared(value, name(value)) });
    else if (value.op !== 'constant') nodes.push(...lower(value, name, constants));
    else if (data && data.byteLength > inlineBytes) {
      bound[name(value)] = { data, shape };
      inputs.push({ name: name(value), type, shape });
    } else if (data) constants.push({ name: name(value), type, shape, data: bytesOf(data) });
  }
  // An output may be an input or stand under two names; ONNX wants a node of its own for each.
  const ends = Object.entries(outputs).map(([output, value]): OnnxValue => {
    nodes.push({ op: 'Identity', inputs: [name(value)], outputs: [`out:${output}`] });
    return { name: `out:${output}`, type: value.type, shape: declared(value, output) };
  });
  const session = await createSession({ nodes, inputs, outputs: ends, constants }, options);
  const given = values.filter(({ op, data }) => op === 'input' || (data?.byteLength ?? 0) > inlineBytes);
  const shapes = Object.fromEntries(given.map((value) => [name(value), value.shape]));
  const fewer = new Set(given.filter(({ bounded }) => bounded).map(name));

  return {
    inputs: Object.fromEntries(Object.entries(shapes).filter(([input]) => !(input in bound))),
    outputs: Object.fromEntries(Object.entries(outputs).map(([output, { shape }]) => [output, shape])),
    bounded: new Set(Object.keys(outputs).filter((output) => outputs[output]?.bounded)),
    async run(arrays, into = {}) {
      const feeds: Record<string, Dense> = { ...bound };
      for (const [input, shape] of Object.entries(shapes)) {
        if (input in bound) continue;
        const data = arrays[input];
        const actual = fewer.has(input) && data ? withRowsOf(data, shape) : shape;
        if (data?.length !== elements(actual)) {
          throw new Error(`input ${input} wants shape [${shape}] and got ${data?.length ?? 'no'} elements`);
        }
        feeds[input] = { data, shape: actual };
      }
      const targets = Object.entries(into).map(([output, data]) => {
        return [`out:${output}`, { data, shape: outputs[output]?.shape ?? [] }] as const;
      });
      const results = await session.run(feeds, Object.fromEntries(targets));
      return Object.fromEntries(
        Object.keys(outputs).map((output) => [output, results[`out:${output}`]?.data as Float32Array]),
      );
    },
    release: () => session.release(),
  };
}

/** A shape for onnxruntime, in which a number of rows that the run tells has a name. */
const declared = ({ bounded, shape }: Value, name: string): OnnxValue['shape'] =>
  bounded ? [`rows of ${name}`, ...shape.slice(1)] : shape;

/** The shape of data that may have fewer rows, but for those that have more. */
function withRowsOf({ length }: Dense['data'], shape: readonly number[]): readonly number[] {
  const [most = 0, ...inner] = shape;
  const rows = length / elements(inner);
  return Number.isInteger(rows) && rows <= most ? [rows, ...inner] : shape;
}

function nameValues(values: readonly Value[], outputs: Readonly<Record<string, Value>>): Map<Value, string> {
  const names = new Map<Value, string>();
  const taken = new Set<string>(Object.keys(outputs).map((output) => `out:${output}`));
  values.forEach((value, index) => {
    const name = value.name ?? `${value.op}:${index}`;
    if (taken.has(name)) throw new Error(`two inputs of a program are called ${name}`);
    taken.add(name);
    names.set(value, name);
  });
  return names;
}

function lower(value: Value, name: (value: Value) => string, constants: OnnxConstant[]): OnnxNode[] {
  const { op, attributes, extra = [], domain, unusedResults = 0 } = ops[value.op].lower(value);
  const unused = Array.from({ length: unusedResults }, (_, index) => `${name(value)}:unused:${index}`);
  const extras = extra.map((numbers, index) => {
    const constant = `${name(value)}:${index}`;
    const data = bytesOf(BigInt64Array.from(numbers, BigInt));
    constants.push({ name: constant, type: 'i64', shape: [numbers.length], data });
    return constant;
  });
  return [
    {
      op,
      inputs: [...value.inputs.map(name), ...extras],
      outputs: [...unused, name(value)],
      ...(attributes ? { attributes } : {}),
      ...(domain ? { domain } : {}),
    },
  ];
}

const bytesOf = (data: Float32Array | BigInt64Array) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
