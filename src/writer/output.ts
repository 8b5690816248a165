import { constants } from 'node:fs';
import { access, open, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { TersorError } from '../errors.js';

/**
 * Makes sure, before any work, that a file can be written at `path`.
 * @param extension by which readers know the file, if they do
 * @throws TersorError when its folder is missing, is no folder or is not writable, `path` is a folder, or its name has
 *   another extension
 */
export async function checkOutput(path: string, extension = ''): Promise<void> {
  if (!path.endsWith(extension))
    throw new TersorError(`the name of the output does not end in ${extension}`, {
      code: 'invalid-option',
      file: path,
      remedy: `add ${extension}, by which the file is known when it is opened`,
    });
  await checkParent(path);
  const target = await stat(path).catch(() => undefined);
  if (target?.isDirectory())
    throw new TersorError('the output is an existing folder', {
      code: 'invalid-option',
      file: path,
      remedy: 'give the name of a file',
    });
}

/** @throws TersorError when the folder that `path` is to lie in is missing, is no folder or is not writable */
export async function checkParent(path: string): Promise<void> {
  const folder = dirname(resolve(path));
  const about = await stat(folder).catch(() => undefined);
  if (!about?.isDirectory())
    throw new TersorError(`the output folder ${folder} ${about ? 'is a file' : 'does not exist'}`, {
      code: 'not-found',
      file: path,
      remedy: about ? 'choose another output' : `create it (mkdir -p ${folder}) or choose another output`,
    });
  await access(folder, constants.W_OK).catch((cause) => {
    throw fileError(path, cause);
  });
}

/** The file that holds the output until it is complete; beside it, so that renaming is atomic. */
export function temporaryPath(path: string): string {
  return `${path}.tmp-${process.pid}`;
}

/** Removes what was written of an output by processes that were ended before they could clear up. */
export async function removeAbandoned(path: string): Promise<void> {
  const target = resolve(path);
  const prefix = `${basename(target)}.tmp-`;
  for (const name of await readdir(dirname(target)).catch(() => [])) {
    const [owner] = name.startsWith(prefix) ? name.slice(prefix.length).split('.') : [];
    if (owner && /^\d+$/.test(owner) && !isRunning(Number(owner)))
      await rm(join(dirname(target), name), { recursive: true, force: true });
  }
}

function isRunning(id: number): boolean {
  try {
    return process.kill(id, 0);
  } catch (cause) {
    return cause instanceof Error && 'code' in cause && cause.code === 'EPERM'; // somebody else's
  }
}

/** Makes a rename inside the folder of `path` survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  // Windows cannot open folders; its file systems journal the rename by themselves.
  if (process.platform === 'win32') return;
  const folder = await open(dirname(resolve(path)));
  await folder.sync().finally(() => folder.close());
}

/** A file-system failure in the user's terms; errors that are explained already pass through. */
export function fileError(path: string, cause: unknown): unknown {
  if (cause instanceof TersorError || !(cause instanceof Error) || !('code' in cause)) return cause;
  if (typeof cause.code !== 'string') return cause; // a DOMException, which ends a job
  const folder = dirname(resolve(path));
  switch (cause.code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new TersorError(`the output folder ${folder} is not writable`, {
        file: path,
        remedy: 'choose another output or change its permissions',
        cause,
      });
    case 'ENOSPC':
    case 'EDQUOT':
      return new TersorError('the disk is full', {
        code: 'no-space',
        file: path,
        remedy: `free some space in ${folder}`,
        cause,
      });
    default:
      return new TersorError(`cannot be written (${cause.message})`, {
        file: path,
        remedy: 'check the disk, or choose another output',
        cause,
      });
  }
}
