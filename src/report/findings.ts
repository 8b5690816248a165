import type { EmbeddingSummary, Summary } from '../types.js';

/** Everything that a report says, as plain data: `tersor report --json` prints it, the page draws it. */
export interface Findings {
  /** The model's file or folder. */
  readonly model: string;
  readonly format: string;
  readonly architecture: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly bitsPerWeight: number;
  readonly tensors: readonly TensorFinding[];
  /** What it was made from, where that was given. */
  readonly original?: { readonly model: string; readonly bytes: number; readonly bitsPerWeight: number };
  readonly quality?: Quality;
  /** In the place of quality, of an encoder. */
  readonly embeddings?: Embeddings;
  readonly front?: Front;
  readonly texts?: Texts;
  /** What tersor wrote into the file when it made it. */
  readonly recipe?: Readonly<Record<string, unknown>>;
  readonly provenance: Readonly<Record<string, string>>;
  /** What only the run that made the file knows. */
  readonly run?: Run;
  readonly commands: readonly Command[];
}

export interface TensorFinding {
  /** As the file calls it. */
  readonly name: string;
  readonly kind: 'linear' | 'embedding' | 'head' | 'norm' | 'bias' | 'position' | 'router';
  /** What it does, the same in every block: `attn_q`. */
  readonly role: string;
  /** Index of its block; absent outside the blocks. */
  readonly block?: number;
  readonly type: string;
  readonly bytes: number;
  readonly bitsPerWeight: number;
  /** Share of the outputs' energy that changed, on the report's text; absent for norms and biases. */
  readonly relativeError?: number;
}

/** Measured on the report's text. */
export interface Quality extends Summary {
  /** The text's name. */
  readonly text: string;
  /** How many positions have a divergence from `from` to below `to`. */
  readonly histogram?: readonly Bin[];
}

/** The same of an encoder. */
export interface Embeddings extends EmbeddingSummary {
  /** The text's name. */
  readonly text: string;
}

export interface Bin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** What sizes cost what, as the search that chose the types saw it. */
export interface Front {
  readonly search: string;
  /** What divergences are: of predictions in nats per token, or of embeddings one less the cosine. */
  readonly objective: 'prediction' | 'embedding';
  /** Smallest file first; divergences are expected ones. */
  readonly points: readonly FrontPoint[];
  /** The choice that became this file. */
  readonly chosen: FrontPoint;
}

export interface FrontPoint {
  readonly bytes: number;
  readonly divergence: number;
}

/** The same prompt continued by both models, with the likeliest token each time. */
export interface Texts {
  readonly prompt: string;
  readonly compressed: string;
  readonly original?: string;
}

export interface Run {
  readonly seconds: number;
  readonly peakMemoryBytes: number;
  /** Agreement with the file's own runtime. */
  readonly verified?: { readonly runtime: string; readonly meanDivergence: number; readonly tokens: number };
}

export interface Command {
  readonly line: string;
  readonly meaning: string;
}

/** The histogram of positive values, in equal steps of their logarithm; what lies outside counts to the end bins. */
export function logHistogram(
  values: Float32Array,
  { from, to, perDecade }: { readonly from: number; readonly to: number; readonly perDecade: number },
): Bin[] {
  const edge = (index: number) => from * 10 ** (index / perDecade);
  const counts = Array.from({ length: Math.ceil(Math.log10(to / from) * perDecade) }, () => 0);
  for (const value of values) {
    const index = Math.floor(Math.log10(Math.max(value, from) / from) * perDecade);
    const inside = Math.min(counts.length - 1, Math.max(0, index));
    counts[inside] = (counts[inside] ?? 0) + 1;
  }
  return counts.map((count, index) => ({ from: edge(index), to: edge(index + 1), count }));
}
