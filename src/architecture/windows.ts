import { z } from 'zod';
import { dimension, parseConfig, wrongConfig } from './config.js';
import { u32 } from './decoder-gguf.js';
import type { BlockShape, DecoderShape } from './decoder-shape.js';

/** `layer_types` of a config.json: which blocks attend to all positions, and which to a window. */
export const attentionTypes = z.array(z.enum(['full_attention', 'sliding_attention']));

/** Positions that each block's attention looks back over, where that is fewer than all. */
export type Windows = readonly (number | undefined)[];

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
): Windows | undefined {
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

/** All blocks but every n-th. */
export const allButEvery =
  (step: number) =>
  (block: number): boolean =>
    (block + 1) % step !== 0;

/**
 * Blocks of one kind or two.
 * @param full those that attend to all positions
 * @param sliding those with a window, where they differ in more than that
 */
export const blocksOf = (
  layers: number,
  windows: Windows | undefined,
  full: BlockShape,
  sliding: BlockShape = full,
): BlockShape[] =>
  Array.from({ length: layers }, (_, block) => {
    const window = windows?.[block];
    return window === undefined ? full : { ...sliding, window };
  });

/**
 * llama.cpp attends to all positions in these families. Where all blocks have one window, texts no longer than that come
 * out alike, so that the window becomes the context of the file; a mixture of both kinds of blocks is refused.
 */
export function windowsInLlamaCpp(
  blocks: readonly BlockShape[],
  context: number,
): Pick<DecoderShape, 'ggufEntries' | 'ggufObstacle'> {
  const widths = blocks.map(({ window }) => window ?? Number.POSITIVE_INFINITY);
  const least = Math.min(...widths);
  if (least >= context) return {};
  if (widths.every((width) => width === least)) return { ggufEntries: { context_length: u32(least) } };
  return {
    ggufObstacle: `some of its blocks attend to the last ${least} positions only, which llama.cpp does not do in this family`,
  };
}

const ggufKeys = z.object({
  'attention.sliding_window': dimension.optional(),
  'attention.sliding_window_pattern': z
    .union([z.number().int().positive(), z.array(z.union([z.boolean(), z.number()]))])
    .optional(),
});

/** Entries that `ggufWindows` reads. */
export const windowKeys: readonly string[] = Object.keys(ggufKeys.shape);

/**
 * The window of each block by a GGUF's entries.
 * @param pattern every n-th block attends to all positions, unless the file says
 */
export function ggufWindows(
  entries: Readonly<Record<string, unknown>>,
  { layers, pattern, file }: { readonly layers: number; readonly pattern: number; readonly file: string },
): Windows {
  const parsed = parseConfig(ggufKeys, entries, file);
  const given = parsed['attention.sliding_window_pattern'] ?? pattern;
  const isSliding = (block: number) =>
    typeof given === 'number' ? allButEvery(given)(block) : Boolean(given[block]);
  const window = parsed['attention.sliding_window'];
  return Array.from({ length: layers }, (_, block) => (isSliding(block) ? window : undefined));
}
