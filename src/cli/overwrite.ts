import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { TersorError } from '../errors.js';
import type { Session } from './command.js';

export const forceOption = (command: Command): Command =>
  command.option('-f, --force', 'overwrite outputs that are there already');

/**
 * Asks before outputs are replaced, and without a terminal to ask on takes no for the answer.
 * @throws TersorError that names the first output that is there and may not be overwritten
 */
export async function mayOverwrite(
  outputs: readonly (string | undefined)[],
  force: boolean | undefined,
  { ask }: Pick<Session, 'ask'>,
): Promise<void> {
  if (force) return;
  for (const output of outputs) {
    if (output === undefined || !(await exists(output))) continue;
    if (await ask?.(`${output} is there already. Overwrite it?`)) continue;
    throw new TersorError('is there already', {
      code: 'invalid-option',
      file: output,
      remedy: 'add --force to overwrite it, or give another name',
    });
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
