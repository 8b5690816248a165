import { isCoded } from '../../grid/grid.js';
import { codeVersion } from '../../version.js';
import type { Hooks } from '../context/hooks.js';
import {
  defaultCapacity,
  defaultStoreFolder,
  keyOf,
  numberBytes,
  openStore,
  readNumber,
} from '../context/store.js';
import { solveIdentity } from '../options/recipe.js';
import type { CompressOptions } from '../options.js';
import type { Job } from '../prepare/job.js';
import type { Assignment } from '../prepare/plan.js';
import type { Packed } from './packed.js';

/** What a run has solved, for the run of the same command that follows when this one does not reach its end. */
export interface Journal {
  /** The tensor, if an earlier run has solved it. */
  find(assignment: Assignment): Promise<Packed | undefined>;
  put(assignment: Assignment, packed: Packed): Promise<void>;
  /** Tensors that were found. */
  readonly found: number;
  /** The run has reached its end: what it kept is thrown away. */
  finish(): Promise<void>;
}

/** Keeps nothing and finds nothing. */
export const noJournal: Journal = {
  find: async () => undefined,
  put: async () => {},
  found: 0,
  finish: async () => {},
};

/** Of an entry in front of a tensor's bytes: its relative error as a double, and whether it was rounded. */
const headBytes = 9;

/** What of a job decides on a tensor's bytes, besides the assignments. */
export type JournalJob = Pick<Job, 'model' | 'assignments' | 'recipe' | 'calibration' | 'importance'>;

/**
 * Keeps every solved tensor in the store, by what it depends on: the code, the whole checkpoint, the calibration
 * tokens, the solver with its options, and the types of everything before it. Activations are not kept: to run what is
 * left, they go through the finished blocks again, which takes a small part of the time that solving took.
 * A store that cannot be written is a warning: the job does not need it.
 */
export async function openJournal(
  { model, assignments, recipe, calibration, importance }: JournalJob,
  { store: named, resume = true }: Pick<CompressOptions, 'store' | 'resume'>,
  hooks: Hooks,
): Promise<Journal> {
  // Plain rounding under an importance matrix takes no longer than looking its results up.
  if (!resume || importance) return noJournal;
  const total = assignments.reduce((sum, { bytes }) => sum + bytes, 0);
  // Room for this run and as much again: what it needs must not be the first to go.
  const store = await openStore(named ?? defaultStoreFolder, Math.max(defaultCapacity, 2 * total));
  const identity = keyOf(
    'compressed',
    codeVersion(),
    await model.checkpoint.fingerprint(),
    solveIdentity(recipe),
    ...calibration.sequences.map(
      ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
    ),
  );
  const keyOfTensor = (assignment: Assignment) =>
    keyOf(
      identity,
      JSON.stringify([assignment, ...before(assignment, assignments, recipe.calibrateOn)].map(typeOf)),
    );
  const keys = new Set<string>();
  let [found, writing] = [0, true];
  return {
    get found() {
      return found;
    },
    async find(assignment) {
      if (!isCoded(assignment.grid)) return undefined;
      const key = keyOfTensor(assignment);
      keys.add(key);
      const entry = await store.get(key);
      if (entry?.length !== assignment.bytes + headBytes) return undefined;
      if (found++ === 0) {
        hooks.warn?.('going on where an earlier run stopped; --no-resume starts afresh');
      }
      // A copy, because a slice of Node's buffers, which entries are, is a view.
      const bytes = new Uint8Array(entry.subarray(headBytes));
      return { relativeError: readNumber(entry), bytes, ...(entry[8] === 1 && { rounded: true }) };
    },
    async put(assignment, { bytes, relativeError, rounded }) {
      if (!writing || !isCoded(assignment.grid)) return;
      await store
        .put(
          keyOfTensor(assignment),
          Buffer.concat([numberBytes(relativeError), Uint8Array.of(rounded ? 1 : 0), bytes]),
        )
        .catch((cause) => {
          writing = false;
          const reason = cause instanceof Error ? cause.message : String(cause);
          hooks.warn?.(`an interruption would lose what is solved from here on: ${reason}`);
        });
    },
    async finish() {
      for (const key of keys) await store.drop(key).catch(() => {}); // it will go when room is needed
    },
  };
}

const typeOf = ({ spec, type, grid }: Assignment) => `${spec.names.gguf} ${type} ${grid.variant ?? ''}`;

/**
 * Tensors whose types may have changed what a tensor is solved under. Embeddings and blocks that are
 * calibrated on the original model see only that.
 */
function before(
  { spec }: Assignment,
  all: readonly Assignment[],
  calibrateOn: 'quantized' | 'original',
): Assignment[] {
  if (calibrateOn === 'original' || (spec.block === undefined && spec.kind !== 'head')) return [];
  const last = spec.block ?? Number.POSITIVE_INFINITY;
  return all.filter((other) => (other.spec.block ?? (other.spec.kind === 'head' ? last + 1 : -1)) <= last);
}
