import { createHash } from 'node:crypto';
import type { Model } from '../architecture/model.js';
import { builtinText } from '../text/builtin.js';
import { chunk, readText, sample } from '../text/corpus.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { Hooks } from './hooks.js';
import type { CompressOptions } from './options.js';

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

const defaultTokens = 65536;
// Longer contexts change the second moments little and cost attention time that grows with their square.
const longestContext = 512;
const heldOutShare = 0.1;
const heldOutTokens = 8192;

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
  const context = options.context ?? Math.min(longestContext, model.architecture.context);
  const source = calibration ?? 'built-in';
  const chunks = chunk(tokenizer, text, context, source);
  const held = Math.min(Math.floor(heldOutTokens / context), Math.floor(chunks.length * share));
  const heldOut = chunks.slice(chunks.length - held);
  const open = chunks.slice(0, chunks.length - held);
  const sequences = sample(open, Math.max(1, Math.floor(limit / context)), seed);
  const taken = new Set(sequences);
  const hash = createHash('sha256');
  for (const sequence of sequences)
    hash.update(new Uint8Array(sequence.buffer, sequence.byteOffset, sequence.byteLength));
  return {
    source,
    sequences,
    heldOut,
    spare: open.filter((sequence) => !taken.has(sequence)),
    tokens: sequences.length * context,
    fingerprint: hash.digest('hex').slice(0, 16),
  };
}
