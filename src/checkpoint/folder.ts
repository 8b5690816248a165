import { mkdir, stat } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where tersor keeps what it can make or fetch again: `XDG_CACHE_HOME` (absolute, as the XDG Base Directory Specification
 * wants it) or `~/.cache`; the system's folder for temporary files for users without a home.
 */
export function cacheRoot({ XDG_CACHE_HOME: given }: Environment = process.env): string {
  if (given && isAbsolute(given)) return join(given, 'tersor');
  try {
    return join(homedir(), '.cache', 'tersor');
  } catch {
    return join(tmpdir(), 'tersor');
  }
}

/**
 * Makes a folder and those above it, one at a time: `mkdir` with `recursive` never returns where the file system says of a
 * folder that is there that it is not, as /proc does.
 * @throws the system's error
 */
export async function makeFolder(path: string): Promise<void> {
  const missing: string[] = [];
  let at = resolve(path);
  while (!(await isThere(at))) {
    missing.unshift(at);
    const above = dirname(at);
    if (above === at) break;
    at = above;
  }
  for (const folder of missing)
    await mkdir(folder).catch(async (cause: NodeJS.ErrnoException) => {
      // Another process was faster.
      if (cause.code !== 'EEXIST') throw cause;
    });
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return false;
      throw cause;
    },
  );
