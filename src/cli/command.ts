import type { Command } from 'commander';
import { createTerminal, type Environment, type Output, type Terminal } from './terminal.js';

/** What a command runs in. */
export interface Session {
  readonly stdout: Output;
  readonly stderr: Output;
  /** The user asks to stop. */
  readonly signal: AbortSignal;
  /** Asks the user, on a terminal; absent where there is none. */
  readonly ask?: ((question: string) => Promise<boolean>) | undefined;
  /** What colours are decided by. */
  readonly environment?: Environment;
}

/** Runs a command's body with a terminal that is left clean whatever happens. */
export async function withTerminal<T>(
  session: Session,
  { json }: { readonly json?: boolean },
  body: (terminal: Terminal) => Promise<T>,
): Promise<T> {
  const terminal = createTerminal(session, { json });
  try {
    return await body(terminal);
  } finally {
    terminal.finish();
  }
}

/** Adds a section of example command lines to a command's help. */
export function examples(
  command: Command,
  lines: readonly (readonly [line: string, meaning: string])[],
): Command {
  const text = lines.map(([line, meaning]) => `  ${line}\n      ${meaning}`).join('\n');
  return command.addHelpText('after', `\nExamples:\n${text}`);
}
