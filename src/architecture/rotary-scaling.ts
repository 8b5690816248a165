import { z } from 'zod';
import { TersorError } from '../errors.js';
import { llama3Factors, type Rotary } from './rotary.js';

/** Base of rotary frequencies: 10,000 to some millions in real models; below 1 they would grow instead of fall. */
export const theta = z.number().min(1).max(1e15);

/** `rope_scaling`, and `rope_parameters` of transformers 5, which holds the base as well. */
export const ropeConfig = z.looseObject({ rope_theta: theta.nullish() });

/** Settings that only some kinds of scaling read. */
const settings = {
  default: [],
  linear: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
} as const;

/**
 * Divisors of rotary frequencies for longer contexts, as a configuration describes them.
 * @returns undefined where nothing is scaled
 * @throws TersorError for a kind of scaling, or a setting of it, that is not known
 */
export function rotaryFactors(
  rotary: Rotary,
  scaling: Record<string, unknown>,
  file: string,
): Float32Array | undefined {
  const type = scaling.rope_type ?? scaling.type ?? 'default';
  if (type !== 'default' && type !== 'linear' && type !== 'llama3')
    throw new TersorError(`rotary scaling ${JSON.stringify(type)} is not supported`, {
      code: 'unsupported',
      file,
      remedy:
        'tersor knows default, linear and llama3; set rope_scaling to null to compress for the original context',
    });
  const known: readonly string[] = ['rope_type', 'type', 'rope_theta', ...settings[type]];
  const unknown = Object.entries(scaling).find(
    ([key, value]) => !known.includes(key) && !isNeutral(key, value) && value !== null && value !== undefined,
  );
  if (unknown && type !== 'default')
    throw new TersorError(
      `rotary scaling of type ${type} has a setting ${unknown[0]} that is not supported`,
      {
        code: 'unsupported',
        file,
        remedy: `if it changes nothing, remove ${unknown[0]} from config.json`,
      },
    );
  const number = (key: string) => {
    const value = scaling[key];
    if (typeof value === 'number' && Math.fround(value) > 0 && Number.isFinite(Math.fround(value)))
      return value;
    throw new TersorError(`rope_scaling.${key} must be a number above zero`, {
      file,
      remedy: 'correct config.json',
    });
  };
  if (type === 'linear') return new Float32Array(rotary.headDim / 2).fill(number('factor'));
  if (type === 'llama3')
    return llama3Factors(rotary, {
      factor: number('factor'),
      lowFrequencyFactor: number('low_freq_factor'),
      highFrequencyFactor: number('high_freq_factor'),
      originalContext: number('original_max_position_embeddings'),
    });
  return undefined;
}

/** All of a head is rotated, and the length that a model was trained for changes nothing by itself. */
const isNeutral = (key: string, value: unknown): boolean =>
  key === 'original_max_position_embeddings' || (key === 'partial_rotary_factor' && value === 1);
