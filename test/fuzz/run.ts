import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TersorError } from '../../src/errors.js';
import { createKernels } from '../../src/kernels/kernels.js';
import { createRandom } from '../../src/random.js';
import { place, type Target } from './targets.js';

/** What a reader made of a corrupt file: it read it, refused it as it should, or failed in another way. */
export type Verdict = 'read' | 'refused' | { readonly failure: string };

export interface Run {
  /** The corrupt file of a case; the same for the same number, always. */
  content(index: number): Uint8Array;
  attempt(content: Uint8Array): Promise<Verdict>;
  close(): Promise<void>;
}

/** Prepares a folder in which corrupt files are read one after another. */
export async function openRun(target: Target): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'tersor-fuzz-'));
  const kernels = await createKernels({ threads: 1 });
  for (const intact of target.intact) {
    await place(target, folder, intact);
    // Corruption says nothing about a reader that refuses everything.
    await target.read(folder, kernels);
  }
  return {
    content(index) {
      const random = createRandom(Math.imul(index + 1, 2654435761));
      const intact = target.intact[index % target.intact.length] ?? new Uint8Array();
      return target.mutate(intact, random);
    },
    async attempt(content) {
      await writeFile(join(folder, target.file), content);
      try {
        await target.read(folder, kernels);
      } catch (error) {
        return verdictOf(error, folder);
      }
      // A key that a document smuggles into all objects would show here.
      return Object.hasOwn(Object.prototype, 'polluted') ? { failure: 'the prototype is polluted' } : 'read';
    },
    async close() {
      kernels.close();
      await rm(folder, { recursive: true });
    },
  };
}

function verdictOf(error: unknown, folder: string): Verdict {
  if (!(error instanceof TersorError)) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  if (error.message.includes('\n')) return { failure: `more than one line: ${error.message}` };
  if (!error.message.includes(folder)) return { failure: `names no file: ${error.message}` };
  return 'refused';
}
