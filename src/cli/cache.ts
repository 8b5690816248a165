import type { Command } from 'commander';
import { type CacheContents, cache } from '../pipeline/cache.js';
import { examples, type Session, withTerminal } from './command.js';
import { fields, formatBytes, formatCount } from './format.js';
import { addOptions } from './options.js';

interface Flags {
  readonly store?: string;
  readonly cacheFolder?: string;
  readonly empty?: boolean;
  readonly json?: boolean;
}

export function cacheCommand(program: Command, session: Session): void {
  const command = program
    .command('cache')
    .summary('what is kept for later runs, and how to remove it')
    .description(
      'Says where solved tensors and models from the hub are kept and how large they are. Solved tensors make later ' +
        'searches and interrupted runs quick; the longest unused are thrown away beyond 8 GB.',
    )
    .option('--empty', 'remove all solved tensors');
  addOptions(command, ['store', 'cacheFolder'], {
    store: 'another folder with solved tensors',
    cacheFolder: 'another folder with models from the hub',
  })
    .option('--json', 'print one JSON document')
    .action(({ json, ...flags }: Flags) =>
      withTerminal(session, { ...(json ? { json } : {}) }, async (terminal) => {
        const contents = await cache(flags);
        terminal.json(contents);
        terminal.print(describeCache(contents));
      }),
    );
  examples(command, [
    ['tersor cache', 'where, and how large'],
    ['tersor cache --empty', 'removes solved tensors'],
    ['XDG_CACHE_HOME=/scratch tersor compress …', 'keeps them elsewhere, as --store FOLDER does'],
  ]);
}

export function describeCache({ store, models, emptied }: CacheContents): string {
  const { entries, bytes, capacity } = store;
  const held = `${formatCount(entries)} solved ${entries === 1 ? 'tensor' : 'tensors'}, ${formatBytes(bytes)}`;
  const removal =
    entries === 0 ? [] : [['', emptied ? 'all removed' : 'to remove them: tersor cache --empty'] as const];
  return fields([
    ['store', store.folder],
    ['', `${held} of at most ${formatBytes(capacity)}`],
    ...removal,
    ['models', models.folder],
    ['', `${formatBytes(models.bytes)}${models.names.length > 0 ? `: ${models.names.join(', ')}` : ''}`],
    ...(models.names.length > 0 ? [['', 'to remove one, delete its folder'] as const] : []),
  ]);
}
