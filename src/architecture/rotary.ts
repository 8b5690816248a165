import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import { elementCode } from '../runtime/onnx.js';
import type { ArchitectureEntry } from './architecture.js';
import type { ExportGraph } from './export.js';

/** Rotary position embedding (Su et al., 2021), and how its frequencies are stretched for long contexts. */
export interface Rotary {
  /** Columns of a head that are rotated, the first ones; all of them in most families. */
  readonly headDim: number;
  readonly theta: number;
  /** One divisor per frequency, headDim / 2 of them; absent: all 1. */
  readonly factors?: Float32Array;
  /** Divisors for texts of more than so many tokens, in the place of `factors` (LongRoPE). */
  readonly long?: { readonly beyond: number; readonly factors: Float32Array };
  /** Factor of cosines and sines, 1 unless given (YaRN, LongRoPE). */
  readonly magnitude?: number;
  /** How llama.cpp is told of the scaling, where it has entries for it; `factors` are then not written. */
  readonly ggufEntries?: Readonly<Record<string, ArchitectureEntry>>;
  /** Pairs are neighbours, not column i and i + headDim / 2. */
  readonly neighbours?: boolean;
}

/** Parameters of Llama 3.1's stretching, as in config.json's `rope_scaling`. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalContext: number;
}

const frequency = ({ theta, headDim }: Rotary, index: number) => theta ** ((-2 * index) / headDim);

/**
 * Divisors of Llama 3.1's rotary frequencies: wavelengths beyond originalContext / lowFrequencyFactor are
 * stretched by `factor`, short ones are left alone, those between interpolate.
 */
export function llama3Factors(rotary: Rotary, scaling: Llama3Scaling): Float32Array {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  return Float32Array.from({ length: rotary.headDim / 2 }, (_, index) => {
    const turns = (originalContext * frequency(rotary, index)) / (2 * Math.PI);
    if (turns < low) return factor;
    if (turns > high) return 1;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** Parameters of YaRN, as in config.json's `rope_scaling`. */
export interface YarnScaling {
  readonly factor: number;
  readonly originalContext: number;
  /** Turns within the original context above which a frequency is left alone, and below which it is stretched fully. */
  readonly fast: number;
  readonly slow: number;
}

/** Divisors of YaRN's rotary frequencies (Peng et al., 2023, arXiv:2309.00071, section 3.2, with whole bounds). */
export function yarnFactors(
  rotary: Rotary,
  { factor, originalContext, fast, slow }: YarnScaling,
): Float32Array {
  const { headDim, theta } = rotary;
  /** Index of the frequency that makes so many turns. */
  const indexOf = (turns: number) =>
    (headDim * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(0, Math.floor(indexOf(fast)));
  const high = Math.min(headDim - 1, Math.ceil(indexOf(slow)));
  const width = Math.max(high - low, 0.001);
  return Float32Array.from({ length: headDim / 2 }, (_, index) => {
    const stretched = Math.min(1, Math.max(0, (index - low) / width));
    return 1 / (stretched / factor + 1 - stretched);
  });
}

/**
 * Turns every position's pairs: halves against each other, in Hugging Face's half-split order, or neighbours. Columns
 * behind those that are rotated stay as they are.
 * @param x […, length, width]
 */
export function rotate(x: Value, rotary: Rotary): Value {
  const [length = 0, width = 0] = x.shape.slice(-2);
  const { headDim, magnitude = 1 } = rotary;
  const half = headDim / 2;
  const factors = factorsFor(rotary, length);
  const angles = (f: (angle: number) => number) =>
    g.constant(
      Float32Array.from({ length: length * half }, (_, at) => {
        const index = at % half;
        return magnitude * f((Math.floor(at / half) * frequency(rotary, index)) / (factors?.[index] ?? 1));
      }),
      [length, half],
    );
  const [cos, sin] = [angles(Math.cos), angles(Math.sin)];
  const turned = headDim === width ? x : g.slice(x, -1, 0, headDim);
  const turn = (a: Value, b: Value) => [
    g.sub(g.mul(a, cos), g.mul(b, sin)),
    g.add(g.mul(b, cos), g.mul(a, sin)),
  ];
  const result = rotary.neighbours ? turnNeighbours(turned, turn) : turnHalves(turned, turn);
  return headDim === width ? result : g.concat([result, g.slice(x, -1, headDim, width)], -1);
}

type Turn = (a: Value, b: Value) => Value[];

function turnHalves(x: Value, turn: Turn): Value {
  const width = x.shape.at(-1) ?? 0;
  return g.concat(turn(g.slice(x, -1, 0, width / 2), g.slice(x, -1, width / 2, width)), -1);
}

function turnNeighbours(x: Value, turn: Turn): Value {
  const outer = x.shape.slice(0, -1);
  const half = (x.shape.at(-1) ?? 0) / 2;
  const pairs = g.reshape(x, [...outer, half, 2]);
  const part = (at: number) => g.reshape(g.slice(pairs, -1, at, at + 1), [...outer, half]);
  const turned = turn(part(0), part(1)).map((each) => g.reshape(each, [...outer, half, 1]));
  return g.reshape(g.concat(turned, -1), [...x.shape]);
}

const factorsFor = ({ factors, long }: Rotary, length: number): Float32Array | undefined =>
  long && length > long.beyond ? long.factors : factors;

/** Angles of every given position in an export graph. */
export interface ExportedAngles {
  /** One row per position of the batch, headDim / 2 columns. */
  readonly cos: string;
  readonly sin: string;
  /** Which of the rows belongs to a position, [batch, length]. */
  readonly rows: string;
  readonly rotary: Rotary;
}

/**
 * Cosines and sines of positions [batch, length] (i64), computed at run time: tables for the longest context would be
 * larger than a small model's weights.
 */
export function exportAngles(graph: ExportGraph, positions: string, rotary: Rotary): ExportedAngles {
  const half = rotary.headDim / 2;
  const frequencies = Float32Array.from(
    { length: half },
    (_, index) => frequency(rotary, index) / (rotary.factors?.[index] ?? 1),
  );
  const cast = (value: string, type: 'f32' | 'f16') =>
    graph.node('Cast', [value], { attributes: { to: elementCode[type] } });
  const column = cast(graph.node('Reshape', [positions, graph.whole([-1, 1])]), 'f32');
  const angles = graph.node('Mul', [column, graph.floats(frequencies, [1, half], 'f32')]);
  const table = (op: 'Cos' | 'Sin') => {
    const plain = graph.node(op, [angles]);
    const { magnitude = 1 } = rotary;
    const values =
      magnitude === 1
        ? plain
        : graph.node('Mul', [plain, graph.floats(Float32Array.of(magnitude), [1], 'f32')]);
    return graph.float === 'f32' ? values : cast(values, graph.float);
  };
  const scalar = (value: number) => graph.whole([value], 'i64', 'scalar');
  const count = graph.node('Range', [scalar(0), graph.node('Size', [positions]), scalar(1)]);
  const rows = graph.node('Reshape', [count, graph.node('Shape', [positions])]);
  return { cos: table('Cos'), sin: table('Sin'), rows, rotary };
}

/** What `rotate` does, in an export graph; x: [batch, length, heads · width]. */
export function exportRotate(
  graph: ExportGraph,
  x: string,
  { cos, sin, rows, rotary }: ExportedAngles,
  { heads, width }: { readonly heads: number; readonly width: number },
): string {
  const { headDim, neighbours } = rotary;
  return graph.node('RotaryEmbedding', [x, rows, cos, sin], {
    domain: 'com.microsoft',
    attributes: {
      interleaved: neighbours ? 1 : 0,
      ...(headDim === width ? {} : { num_heads: heads, rotary_embedding_dim: headDim }),
    },
  });
}

/** `exportAngles` of each setting, once. */
export function exportedAngles(graph: ExportGraph, positions: string): (rotary: Rotary) => ExportedAngles {
  const known = new Map<Rotary, ExportedAngles>();
  return (rotary) => {
    const found = known.get(rotary) ?? exportAngles(graph, positions, rotary);
    known.set(rotary, found);
    return found;
  };
}
