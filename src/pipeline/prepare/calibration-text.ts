import { createHash } from 'node:crypto';
import { matrixShape, type Objective } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import { elements } from '../../graph/ops.js';
import { builtinText } from '../../text/builtin.js';
import { chunk, readText, sample, spread } from '../../text/corpus.js';
import { encodeTexts, splitSentences, windows } from '../../text/sentences.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Hooks } from '../context/hooks.js';
import type { CompressOptions } from '../options.js';

export interface CalibrationText {
  /** The file's name, or `built-in`. */
  readonly source: string;
  readonly sequences: readonly Int32Array[];
  /** From the end of the same text, not calibrated on: what the verdict is measured with. */
  readonly heldOut: readonly Int32Array[];
  /** What is neither calibrated on nor held out, where the text is longer than what is used of it. */
  readonly spare: readonly Int32Array[];
  readonly tokens: number;
  /** Hash of the tokens in use. */
  readonly fingerprint: string;
}

/** Calibration tokens at most, unless other options or the effort say so. */
export const defaultTokens = 65536;
// Longer contexts change the second moments little and cost attention time that grows with their square. Encoders are
// mostly given less.
const usualContext: Readonly<Record<Objective, number>> = { prediction: 512, embedding: 256 };
const heldOutShare = 0.1;
/** Tokens that are measured on: fewer of large models, both of which take 2 operations per weight and token. */
const [mostHeldOut, fewestHeldOut, heldOutOperations] = [8192, 1024, 4e12];

function heldOutTokens({ tensors }: Pick<Model['architecture'], 'tensors'>): number {
  const weights = tensors.reduce((sum, { shape }) => sum + elements(shape), 0);
  return Math.max(fewestHeldOut, Math.min(mostHeldOut, Math.floor(heldOutOperations / (4 * weights))));
}

/** How much of a text is held out, at most. */
interface HeldOutShare {
  readonly share: number;
  readonly tokens: number;
}

interface Cut {
  readonly open: Int32Array[];
  readonly heldOut: Int32Array[];
}

/** How a text is cut up for models of each kind. */
const cut: Readonly<
  Record<
    Objective,
    (tokenizer: Tokenizer, text: string, context: number, source: string, held: HeldOutShare) => Cut
  >
> = {
  prediction(tokenizer, text, context, source, { share, tokens }) {
    const chunks = chunk(tokenizer, text, context, source);
    const most = Math.max(1, Math.floor(tokens / context));
    const held = Math.min(most, Math.floor(chunks.length * share));
    return { open: chunks.slice(0, chunks.length - held), heldOut: chunks.slice(chunks.length - held) };
  },
  embedding(tokenizer, text, context, source, { share, tokens }) {
    const end = text.indexOf('\n', Math.floor(text.length * (1 - share)));
    const kept = end < 0 ? text : text.slice(0, end);
    const open = windows(tokenizer, kept, context, source);
    const held = encodeTexts(tokenizer, splitSentences(text.slice(kept.length)), context);
    return { open, heldOut: held.length < fewestTexts ? [] : spread(held, tokens) };
  },
};
/** Fewer texts say nothing about the order in which a search finds them. */
const fewestTexts = 20;

/** What decides on the text. */
export type TextOptions = Pick<CompressOptions, 'calibration' | 'tokens' | 'context' | 'seed' | 'imatrix'>;

/**
 * Tokenises the calibration text and sets a part aside for measuring.
 * @param share of the text that is set aside, at most
 */
export async function calibrationText(
  options: TextOptions,
  model: Model,
  tokenizer: Tokenizer,
  hooks: Hooks,
  share = heldOutShare,
): Promise<CalibrationText> {
  const { calibration, tokens: limit = defaultTokens, seed = 0 } = options;
  if (!calibration && !options.imatrix) {
    hooks.warn?.(
      'no --calibration text given: calibrating on a small built-in text; your own text gives a better model',
    );
  }
  const text = calibration ? await readText(calibration) : builtinText;
  const { objective, context: longest } = model.architecture;
  const context = options.context ?? Math.min(usualContext[objective], longest);
  const source = calibration ?? 'built-in';
  const held = { share, tokens: heldOutTokens(model.architecture) };
  const { open, heldOut } = cut[objective](tokenizer, text, context, source, held);
  const all = open.reduce((sum, { length }) => sum + length, 0);
  const chosen = sample(open, Math.max(1, Math.floor((open.length * limit) / all)), seed);
  // Those of a length are processed together.
  const sequences = chosen.toSorted((a, b) => b.length - a.length);
  const taken = new Set(sequences);
  const hash = createHash('sha256');
  for (const sequence of sequences)
    hash.update(new Uint8Array(sequence.buffer, sequence.byteOffset, sequence.byteLength));
  return {
    source,
    sequences,
    heldOut,
    spare: open.filter((sequence) => !taken.has(sequence)),
    tokens: sequences.reduce((sum, { length }) => sum + length, 0),
    fingerprint: hash.digest('hex').slice(0, 16),
  };
}

/** With fewer tokens for each input of a layer, solvers gain little over rounding there (docs/results/shrinkage.md). */
const tokensPerInput = 2;

/** Warns of a text that has few tokens for the widest layers of a model. */
export function warnOfFewTokens(
  { tokens, spare }: Pick<CalibrationText, 'tokens' | 'spare'>,
  { tensors }: Pick<Model['architecture'], 'tensors'>,
  { warn }: Hooks,
): void {
  const widths = tensors.filter(({ kind }) => kind === 'linear').map((spec) => matrixShape(spec)[1]);
  const [width, wanted] = [Math.max(0, ...widths), tokensPerInput * Math.max(0, ...widths)];
  if (tokens >= wanted) return;
  const remedy = `--tokens ${wanted}${spare.length > 0 ? '' : ' and a text that has so many'}`;
  warn?.(
    `${tokens} calibration tokens are few for layers of ${width} inputs, which then stay near plain rounding; ` +
      `${remedy} would give a better model`,
  );
}
