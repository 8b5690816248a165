import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { TersorError } from '../errors.js';

/** How an encoder's outputs become one vector: their mean over all tokens, or the first token's. */
export type Pooling = 'mean' | 'cls';

/** Where sentence-transformers keeps that, beside the weights. */
export const poolingName = '1_Pooling/config.json';

const schema = z.record(z.string(), z.unknown());
// The last is the mean up to its length, which is one in the end.
const modes: Readonly<Record<string, Pooling>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean',
};

/**
 * How a model's embeddings are made; by their mean where its folder does not say.
 * @throws TersorError for a file that is not JSON, and for other ways and mixtures of several
 */
export async function readPooling(folder: string): Promise<Pooling> {
  const file = join(folder, poolingName);
  const text = await readFile(file, 'utf8').catch((cause) => {
    if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return undefined;
    throw new TersorError(`cannot be read (${cause.code})`, { file, remedy: 'check its permissions', cause });
  });
  if (text === undefined) return 'mean';
  const remedy = 'correct it, or remove it to have embeddings measured by their means';
  let config: Readonly<Record<string, unknown>>;
  try {
    config = schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new TersorError('is not a JSON object', { file, remedy, cause });
  }
  const named = Object.keys(config).filter((key) => key.startsWith('pooling_mode_') && config[key] === true);
  const [only = '', another] = named;
  const pooling = Object.hasOwn(modes, only) && another === undefined ? modes[only] : undefined;
  if (pooling) return pooling;
  throw new TersorError(`embeddings by ${named.join(' and ') || 'no pooling mode'} are not supported`, {
    code: 'unsupported',
    file,
    remedy,
  });
}
