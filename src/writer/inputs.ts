import type { Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { TersorError } from '../errors.js';

/** Files of a folder with a model that a job reads; others, such as an earlier output, may be replaced. */
const modelFile = /\.(safetensors|onnx|onnx_data|json|jinja|model|txt|bin|msgpack)$/;

/**
 * Makes sure, before any work, that an output does not replace what the job reads: the same path, the same file under
 * another name (links are followed, device and inode compared), a file of a model's folder, or a folder with an input in it.
 * @param inputs files and folders; names of models on the hub and what does not exist are none
 * @throws TersorError that names the input
 */
export async function refuseInputs(output: string, inputs: readonly (string | undefined)[]): Promise<void> {
  const target = await stat(output).catch(() => undefined);
  if (!target) return;
  const place = await realpath(output);
  for (const input of inputs) {
    const about = input === undefined ? undefined : await stat(input).catch(() => undefined);
    if (input === undefined || !about) continue;
    const inside = target.isDirectory() && `${await realpath(input)}${sep}`.startsWith(`${place}${sep}`);
    if (inside || same(target, about) || (about.isDirectory() && (await holds(input, target))))
      throw new TersorError(`the output is what the job reads${named(output, input)}`, {
        code: 'invalid-option',
        file: output,
        remedy: 'give the output another name',
      });
  }
}

const named = (output: string, input: string) => (resolve(output) === resolve(input) ? '' : ` (${input})`);

/** On Windows, inodes of some file systems are 0. */
const same = (a: Stats, b: Stats): boolean => a.dev === b.dev && a.ino === b.ino && a.ino !== 0;

async function holds(folder: string, target: Stats): Promise<boolean> {
  for (const entry of await readdir(folder, { recursive: true })) {
    if (!modelFile.test(entry)) continue;
    const about = await stat(join(folder, entry)).catch(() => undefined);
    if (about && same(about, target)) return true;
  }
  return false;
}
