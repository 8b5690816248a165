import { hullFront } from '../../allocation/hull-front.js';
import type { Allocation } from '../../allocation/table.js';
import type { Front } from '../../report/findings.js';
import { defaultStoreFolder, keyOf, openStore } from '../context/store.js';
import type { Job } from '../prepare/job.js';
import { provenance, writtenProvenance } from '../prepare/provenance.js';
import { choicesOf } from './measure-allocation.js';
import type { LevelTable } from './table/table.js';

/** What tells a file from others: what is written into it, and which type each tensor has. */
export interface FileIdentity {
  /** As `writtenProvenance` reads it. */
  readonly provenance: Readonly<Record<string, string>>;
  readonly bytes: number;
  readonly types: readonly (readonly [name: string, type: string])[];
}

const frontKey = ({ provenance: written, bytes, types }: FileIdentity): string =>
  keyOf('front', JSON.stringify([Object.entries(written).sort(), bytes, [...types].sort()]));

/** Points of a front that are kept: more than a chart can show. */
const keptPoints = 100;

/**
 * Keeps what the search saw of sizes and costs in its store, for reports on the file that the job will write. The
 * sums of losses are scaled so that the choice has the divergence that is expected of the whole model.
 * @param divergence expected of the choice
 */
export async function keepFront(
  table: LevelTable,
  { model, format, plan, recipe, calibration }: Job,
  allocation: Allocation,
  search: string,
  divergence: number,
): Promise<void> {
  const rest = plan.bytes - allocation.bytes;
  const scale = divergence / allocation.loss;
  if (!Number.isFinite(scale)) return;
  const point = ({ bytes, loss }: Allocation) => ({ bytes: bytes + rest, divergence: loss * scale });
  const hull = hullFront(choicesOf(table, format.alignment)).filter(({ loss }) => loss > 0);
  const step = Math.ceil(hull.length / keptPoints);
  const front: Front = {
    search,
    objective: model.architecture.objective,
    points: hull.filter((_, index) => index % step === 0 || index === hull.length - 1).map(point),
    chosen: point(allocation),
  };
  const key = frontKey({
    provenance: writtenProvenance(provenance(recipe, calibration)),
    bytes: plan.bytes,
    types: plan.tensors.map(({ name, type }) => [name, type]),
  });
  await table.store.put(key, new TextEncoder().encode(JSON.stringify(front)));
}

/** What the search that chose a file's types saw, if it ran with this store. */
export async function findFront(
  file: FileIdentity,
  folder: string = defaultStoreFolder,
): Promise<Front | undefined> {
  const known = await (await openStore(folder)).get(frontKey(file));
  return known && JSON.parse(new TextDecoder().decode(known));
}
