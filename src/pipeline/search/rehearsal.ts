import type { Allocation } from '../../allocation/table.js';
import type { TensorSpec } from '../../architecture/architecture.js';
import { compressBlocks } from '../blocks.js';
import type { Hooks } from '../hooks.js';
import type { Materials } from '../job.js';
import type { CompressOptions } from '../options.js';
import { assign } from '../plan.js';
import type { Recipe } from '../recipe.js';
import type { Workshop } from '../workshop.js';
import { numberBytes, readNumber } from './entries.js';
import { pick } from './judge.js';
import { mixture, type StoredWeight } from './mixture.js';
import { keyOf } from './store.js';
import { calibrationForTable, type LevelTable, tableSolver } from './table.js';

/** Divergence of the model that an allocation gives when it is compressed for good, nats per token. */
export type Rehearse = (allocation: Allocation) => Promise<number>;

/**
 * Compresses the whole model as the recipe says, but with the table's solver and tokens, and judges it: what levels
 * that were solved apart do not tell, namely how well later layers make up for what earlier ones lose. The weights
 * go into the store and are judged from there; so is the result kept.
 */
export function createRehearsal(
  shop: Workshop,
  { model, format, calibration }: Materials,
  table: LevelTable,
  { options: _, ...recipe }: Recipe,
  options: CompressOptions,
  { signal }: Hooks,
): Rehearse {
  const { store, referee } = table;
  const settings = {
    model,
    recipe: { ...recipe, solver: tableSolver },
    calibration: { ...calibration, sequences: calibrationForTable(calibration) },
    format: { ...format, arrange: (rows: Uint8Array) => rows, extras: () => [] },
  };
  const identity = keyOf(
    'rehearsal',
    referee.fingerprint,
    calibration.fingerprint,
    JSON.stringify(settings.recipe),
  );
  return async (allocation) => {
    const chosen = pick(table, allocation);
    const types = [...chosen].map(([{ names }, { type }]) => `${names.gguf} ${type}`);
    const key = keyOf(identity, types.join());
    const known = await store.get(key);
    if (known) return readNumber(known);

    const assignments = assign(model, format, (spec) => chosen.get(spec)?.type ?? 'f32', options);
    const keyOfTensor = (name: string) => keyOf(key, name);
    const write = (name: string, bytes: Uint8Array) =>
      store.put(keyOfTensor(name), Buffer.concat([numberBytes(0), bytes]));
    await compressBlocks(shop, { ...settings, assignments }, write, signal ? { signal } : {});
    const weights = new Map<TensorSpec, StoredWeight>(
      assignments.map(({ spec, grid, name }) => [spec, { grid, key: keyOfTensor(name) }]),
    );
    const { mean } = await referee.model(mixture(shop, store, model, weights));
    await store.put(key, numberBytes(mean));
    return mean;
  };
}
