import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import { elementCode } from '../runtime/onnx.js';
import type { ExportGraph } from './export.js';

/** Rotary position embedding (Su et al., 2021), and how its frequencies are stretched for long contexts. */
export interface Rotary {
  readonly headDim: number;
  readonly theta: number;
  /** One divisor per frequency, headDim / 2 of them; absent: all 1. */
  readonly factors?: Float32Array;
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

/**
 * Turns every position's halves against each other, in Hugging Face's half-split order.
 * @param x […, length, headDim]
 */
export function rotate(x: Value, rotary: Rotary): Value {
  const [length = 0, headDim = 0] = x.shape.slice(-2);
  const half = headDim / 2;
  const angles = (f: (angle: number) => number) =>
    g.constant(
      Float32Array.from({ length: length * half }, (_, at) => {
        const index = at % half;
        return f((Math.floor(at / half) * frequency(rotary, index)) / (rotary.factors?.[index] ?? 1));
      }),
      [length, half],
    );
  const [cos, sin] = [angles(Math.cos), angles(Math.sin)];
  const [a, b] = [g.slice(x, -1, 0, half), g.slice(x, -1, half, headDim)];
  return g.concat([g.sub(g.mul(a, cos), g.mul(b, sin)), g.add(g.mul(b, cos), g.mul(a, sin))], -1);
}

/** Angles of every given position in an export graph. */
export interface ExportedAngles {
  /** One row per position of the batch, headDim / 2 columns. */
  readonly cos: string;
  readonly sin: string;
  /** Which of the rows belongs to a position, [batch, length]. */
  readonly rows: string;
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
    const values = graph.node(op, [angles]);
    return graph.float === 'f32' ? values : cast(values, graph.float);
  };
  const scalar = (value: number) => graph.whole([value], 'i64', 'scalar');
  const count = graph.node('Range', [scalar(0), graph.node('Size', [positions]), scalar(1)]);
  const rows = graph.node('Reshape', [count, graph.node('Shape', [positions])]);
  return { cos: table('Cos'), sin: table('Sin'), rows };
}

/** What `rotate` does, in an export graph; x: [batch, length, heads · headDim]. */
export function exportRotate(graph: ExportGraph, x: string, { cos, sin, rows }: ExportedAngles): string {
  return graph.node('RotaryEmbedding', [x, rows, cos, sin], {
    domain: 'com.microsoft',
    attributes: { interleaved: 0 },
  });
}
