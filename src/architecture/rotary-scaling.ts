import { z } from 'zod';
import { TersorError } from '../errors.js';
import type { ArchitectureEntry } from './architecture.js';
import { llama3Factors, type Rotary, yarnFactors } from './rotary.js';

/** Base of rotary frequencies: 10,000 to some millions in real models; below 1 they would grow instead of fall. */
export const theta = z.number().min(1).max(1e15);

/** `rope_scaling`, and `rope_parameters` of transformers 5, which holds the base as well. */
export const ropeConfig = z.looseObject({ rope_theta: theta.nullish() });

const original = 'original_max_position_embeddings';

/** Settings that each kind of scaling reads. */
const settings: Readonly<Record<string, readonly string[]>> = {
  default: [],
  linear: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor', original],
  yarn: ['factor', 'attention_factor', 'beta_fast', 'beta_slow', 'mscale', 'mscale_all_dim', original],
  longrope: ['factor', 'attention_factor', 'short_factor', 'long_factor', original],
};

/** What else decides on how positions are scaled. */
export interface RopeContext {
  /** Longest text that the model is for. */
  readonly context: number;
  /** Longest text that it was trained on before, where the configuration says so outside its rotary settings. */
  readonly originalContext?: number | undefined;
  /** Settings that the family reads beside those of the kind of scaling. */
  readonly known?: readonly string[];
  readonly file: string;
}

type Plain = Pick<Rotary, 'headDim' | 'theta' | 'neighbours'>;

/**
 * Rotary positions with their frequencies stretched for longer contexts, as a configuration describes it.
 * @throws TersorError for a kind of scaling, or a setting of it, that is not known
 */
export function rotaryOf(plain: Plain, scaling: Record<string, unknown>, about: RopeContext): Rotary {
  const type = String(scaling.rope_type ?? scaling.type ?? 'default');
  checkSettings(type, scaling, about);
  const number = (key: string, otherwise?: number) => positive(scaling, key, about.file, otherwise);
  switch (type) {
    case 'linear': {
      const factor = number('factor');
      return {
        ...plain,
        factors: new Float32Array(plain.headDim / 2).fill(factor),
        ggufEntries: scalingEntries('linear', factor),
      };
    }
    case 'llama3':
      return {
        ...plain,
        factors: llama3Factors(plain, {
          factor: number('factor'),
          lowFrequencyFactor: number('low_freq_factor'),
          highFrequencyFactor: number('high_freq_factor'),
          originalContext: number(original),
        }),
      };
    case 'yarn':
      return yarn(plain, scaling, number, about);
    case 'longrope':
      return longRope(plain, scaling, about);
    default:
      return plain;
  }
}

type Read = (key: string, otherwise?: number) => number;

/** YaRN (Peng et al., 2023, arXiv:2309.00071): low frequencies are stretched, high ones are not, scores are sharpened. */
function yarn(plain: Plain, scaling: Record<string, unknown>, number: Read, about: RopeContext): Rotary {
  const factor = number('factor');
  const originalContext = number(original, about.originalContext ?? about.context);
  const [fast, slow] = [number('beta_fast', 32), number('beta_slow', 1)];
  const sharpening = (by: number) => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  const ratio =
    scaling.mscale && scaling.mscale_all_dim
      ? sharpening(number('mscale')) / sharpening(number('mscale_all_dim'))
      : sharpening(1);
  const magnitude = number('attention_factor', ratio);
  return {
    ...plain,
    factors: yarnFactors(plain, { factor, originalContext, fast, slow }),
    ...(magnitude === 1 ? {} : { magnitude }),
    ggufEntries: {
      ...scalingEntries('yarn', factor),
      'rope.scaling.original_context_length': { type: 'u32', value: originalContext },
      'rope.scaling.yarn_beta_fast': { type: 'f32', value: fast },
      'rope.scaling.yarn_beta_slow': { type: 'f32', value: slow },
      // llama.cpp sharpens by itself; what is left is what the model has more or less.
      'rope.scaling.attn_factor': { type: 'f32', value: magnitude / sharpening(1) },
    },
  };
}

/** LongRoPE (Ding et al., 2024, arXiv:2402.13753): divisors that were searched, others for short texts than for long. */
function longRope(plain: Plain, scaling: Record<string, unknown>, about: RopeContext): Rotary {
  const { context, originalContext = about.context, file } = about;
  const beyond = positive(scaling, original, file, originalContext);
  const factors = (key: string): Float32Array => {
    const value = scaling[key];
    const count = plain.headDim / 2;
    if (Array.isArray(value) && value.length === count && value.every((each) => each > 0))
      return Float32Array.from(value);
    throw new TersorError(`rope_scaling.${key} must be ${count} numbers above zero`, {
      file,
      remedy: 'correct config.json',
    });
  };
  const stretch = context / beyond;
  const magnitude = positive(
    scaling,
    'attention_factor',
    file,
    stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(beyond)),
  );
  return {
    ...plain,
    factors: factors('short_factor'),
    long: { beyond, factors: factors('long_factor') },
    ...(magnitude === 1 ? {} : { magnitude }),
    ggufEntries: {
      'rope.scaling.original_context_length': { type: 'u32', value: beyond },
      'rope.scaling.attn_factor': { type: 'f32', value: magnitude },
    },
  };
}

const scalingEntries = (type: string, factor: number): Record<string, ArchitectureEntry> => ({
  'rope.scaling.type': { type: 'string', value: type },
  'rope.scaling.factor': { type: 'f32', value: factor },
});

function checkSettings(
  type: string,
  scaling: Record<string, unknown>,
  { file, known = [] }: RopeContext,
): void {
  const own = settings[type];
  if (!own)
    throw new TersorError(`rotary scaling ${JSON.stringify(type)} is not supported`, {
      code: 'unsupported',
      file,
      remedy: `tersor knows ${Object.keys(settings).join(', ')}; set rope_scaling to null to compress for the original context`,
    });
  const read = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor', ...own, ...known];
  const unknown = Object.entries(scaling).find(
    ([key, value]) => !read.includes(key) && !isNeutral(key, value, type),
  );
  if (unknown)
    throw new TersorError(
      `rotary scaling of type ${type} has a setting ${unknown[0]} that is not supported`,
      {
        code: 'unsupported',
        file,
        remedy: `if it changes nothing, remove ${unknown[0]} from config.json`,
      },
    );
}

/** What changes nothing by itself. */
const isNeutral = (key: string, value: unknown, type: string): boolean =>
  value === null ||
  value === undefined ||
  key === original ||
  key === 'max_position_embeddings' ||
  (key === 'truncate' && value === true) ||
  // Left over from a model that was scaled.
  (type === 'default' && (key === 'factor' ? value === 1 : key === 'finetuned'));

function positive(scaling: Record<string, unknown>, key: string, file: string, otherwise?: number): number {
  const value = scaling[key] ?? otherwise;
  if (typeof value === 'number' && Math.fround(value) > 0 && Number.isFinite(Math.fround(value)))
    return value;
  throw new TersorError(`rope_scaling.${key} must be a number above zero`, {
    file,
    remedy: 'correct config.json',
  });
}
