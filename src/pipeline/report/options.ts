import type { ContextOptions } from '../context/context.js';
import type { CompressResult } from '../measure/result.js';
import type { CompressOptions } from '../options.js';

export interface ReportOptions extends ContextOptions {
  readonly model: string;
  /** The HTML file to write; without one nothing is written. */
  readonly output?: string;
  /** The original, to compare with. */
  readonly against?: string;
  /** A text file that calibration has not seen; without one a small built-in text, or what the run kept for it. */
  readonly text?: string;
  /** Tokens of text at most. */
  readonly tokens?: number;
  /** Beginning of the texts side by side; by default words of the text. */
  readonly prompt?: string;
  /** Folder in which searches left what sizes cost. */
  readonly store?: string;
  /** The run that just made the model. */
  readonly run?: { readonly options: CompressOptions; readonly result: CompressResult };
}
