import { z } from 'zod';
import { wrongConfig } from './config.js';

/** `layer_types` of a config.json: which blocks attend to all positions, and which to a window. */
export const attentionTypes = z.array(z.enum(['full_attention', 'sliding_attention']));

interface Windowed {
  readonly num_hidden_layers: number;
  readonly sliding_window?: number | null | undefined;
  readonly layer_types?: readonly ('full_attention' | 'sliding_attention')[] | null | undefined;
}

/**
 * The window of each block.
 * @param sliding which blocks have one where the configuration does not list them
 * @returns undefined where no block has one
 * @throws TersorError for a list that does not fit the blocks
 */
export function windowsOf(
  config: Windowed,
  sliding: (block: number) => boolean,
  file: string,
): readonly (number | undefined)[] | undefined {
  const { num_hidden_layers: blocks, sliding_window: window, layer_types: types } = config;
  if (types && types.length !== blocks)
    throw wrongConfig(`layer_types has ${types.length} entries for ${blocks} blocks`, file);
  const isSliding = (block: number) => (types ? types[block] === 'sliding_attention' : sliding(block));
  const all = Array.from({ length: blocks }, (_, block) =>
    isSliding(block) ? (window ?? undefined) : undefined,
  );
  if (types?.includes('sliding_attention') && !window)
    throw wrongConfig('layer_types names sliding attention, but sliding_window is not set', file);
  return all.some((each) => each !== undefined) ? all : undefined;
}
