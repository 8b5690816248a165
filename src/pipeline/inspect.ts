import type { StackSummary } from '../checkpoint/checkpoint.js';
import { type ContextOptions, withContext } from './context/context.js';
import type { JobHooks } from './context/hooks.js';
import { provenancePrefix, writtenProvenance } from './prepare/provenance.js';

export interface InspectOptions extends ContextOptions {
  readonly model: string;
}

export interface Inspection {
  readonly path: string;
  readonly format: string;
  readonly architecture: string;
  readonly parameters: number;
  readonly bytes: number;
  /** Of a stacked file: what there is of it, and from where on nothing is missing. */
  readonly stack?: StackSummary;
  readonly bitsPerWeight: number;
  readonly tensors: readonly {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly number[];
    readonly bytes: number;
  }[];
  /** Scalars of config.json or of the GGUF header. */
  readonly metadata: Readonly<Record<string, string | number | boolean>>;
  /** What tersor wrote into the file when it made it. */
  readonly provenance?: Readonly<Record<string, string>>;
}

/** What is inside a model, from its headers alone; a model on the hub is downloaded first. */
export function inspect(options: InspectOptions, caller: JobHooks = {}): Promise<Inspection> {
  return withContext({ ...options, threads: 1 }, caller, async (context) => {
    const { checkpoint, architecture } = await context.open(options.model);
    const tensors = [...checkpoint.tensors.values()];
    const parameters = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const stored = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    const scalars = Object.entries(checkpoint.metadata).filter(
      (entry): entry is [string, string | number | boolean] =>
        ['string', 'number', 'boolean'].includes(typeof entry[1]),
    );
    const provenance = writtenProvenance(checkpoint.metadata);
    return {
      path: checkpoint.path,
      format: checkpoint.format,
      architecture: architecture.modelType,
      parameters,
      bytes: checkpoint.bytes,
      ...(checkpoint.stack ? { stack: checkpoint.stack } : {}),
      bitsPerWeight: (8 * stored) / parameters,
      tensors: tensors.map(({ name, type, shape, bytes }) => ({ name, type, shape, bytes })),
      metadata: Object.fromEntries(scalars.filter(([key]) => !key.startsWith(provenancePrefix))),
      ...(Object.keys(provenance).length > 0 ? { provenance } : {}),
    };
  });
}
