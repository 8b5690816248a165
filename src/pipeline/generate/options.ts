import type { Portion } from '../../checkpoint/stack/stack.js';
import type { SamplingOptions } from '../../runtime/sampling.js';
import type { ContextOptions } from '../context/context.js';

export interface GenerateOptions extends SamplingOptions, ContextOptions {
  /** A GGUF file, an ONNX model of tersor's or the folder that it lies in, or a stacked model. */
  readonly model: string;
  /** How much of a stacked file to use. */
  readonly portion?: Portion | undefined;
  readonly prompt: string;
  /** Give the prompt to the model's chat template, as what a user says. */
  readonly chat?: boolean | undefined;
  /** What the template gets as the system's message, before the user's. */
  readonly system?: string | undefined;
  /** Tokens to add to the prompt at most; 256 by default. */
  readonly maxTokens?: number | undefined;
  /**
   * Tokens that prompt and text may have together; as many as the model was trained for by default, of a GGUF 2,048 at
   * most, because llama.cpp sets memory aside for all of them.
   */
  readonly context?: number | undefined;
}

/** What writing a text took, the prompt aside. */
export interface GenerateResult {
  readonly tokens: number;
  readonly seconds: number;
}

/** The conversation that a prompt begins. */
export const conversation = ({ prompt, system }: Pick<GenerateOptions, 'prompt' | 'system'>) => [
  ...(system === undefined ? [] : [{ role: 'system', content: system } as const]),
  { role: 'user', content: prompt } as const,
];
