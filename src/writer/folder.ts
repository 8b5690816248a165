import { copyFile, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { isCompanion } from '../checkpoint/file.js';
import { poolingName } from '../checkpoint/pooling.js';
import { configName } from '../checkpoint/safetensors.js';
import { TersorError } from '../errors.js';
import { checkParent } from './output.js';

/**
 * Makes sure, before any work, that a folder can be written.
 * @param isOurs whether a full folder is one that tersor wrote, by the names in it that are no companions of a model;
 *   such a one may be replaced
 * @throws TersorError when its parent is missing or not writable, or it exists and holds anything else
 */
export async function checkFolder(
  path: string,
  isOurs: (names: readonly string[]) => Promise<boolean>,
): Promise<void> {
  await checkParent(path);
  const about = await stat(path).catch(() => undefined);
  if (!about) return;
  const remedy = 'give the name of a new folder';
  if (!about.isDirectory())
    throw new TersorError('the output is an existing file', { code: 'invalid-option', file: path, remedy });
  const names = await readdir(path);
  if (names.length === 0) return;
  if (!(await isOurs(names.filter((name) => !isCompanion(name) && name !== dirname(poolingName)))))
    throw new TersorError('the output folder holds something that tersor did not write', {
      code: 'invalid-option',
      file: path,
      remedy: `empty it or ${remedy}`,
    });
}

/**
 * @param output what needs a configuration, for the error
 * @throws TersorError for a source that has no Hugging Face configuration
 */
export function requireConfig({ naming, path }: Pick<Checkpoint, 'naming' | 'path'>, output: string): void {
  if (naming !== 'huggingface')
    throw new TersorError(`a GGUF has no config.json, which ${output} needs`, {
      code: 'unsupported',
      file: path,
      remedy: 'compress the Hugging Face version of the model, or write a .gguf',
    });
}

/** Copies the tokenizer's files, and what else lies beside weights but config.json. Returns their names. */
export async function copyCompanions(source: string, target: string): Promise<string[]> {
  const entries = await readdir(source, { withFileTypes: true });
  const names = entries
    .filter((entry) => !entry.isDirectory() && isCompanion(entry.name) && entry.name !== configName)
    .map(({ name }) => name);
  if (await isFile(join(source, poolingName))) names.push(poolingName);
  for (const name of names) {
    await mkdir(dirname(join(target, name)), { recursive: true });
    await copyFile(join(source, name), join(target, name));
  }
  return names;
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (about) => about.isFile(),
    () => false,
  );

export const writeJson = (path: string, value: unknown): Promise<void> =>
  writeFile(path, `${JSON.stringify(value, undefined, 2)}\n`);

/** Neither folder is ever missing for longer than a rename takes; a folder cannot be renamed over a full one. */
export async function replaceFolder(complete: string, target: string): Promise<void> {
  const aside = `${complete}.old`;
  const replaced = await rename(target, aside).then(
    () => true,
    () => false,
  );
  try {
    await rename(complete, target);
  } catch (cause) {
    if (replaced) await rename(aside, target);
    throw cause;
  }
  await rm(aside, { recursive: true, force: true });
}
