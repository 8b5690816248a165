import { Command, CommanderError } from 'commander';
import { TersorError } from '../errors.js';
import { packageVersion } from '../version.js';
import { cacheCommand } from './cache.js';
import type { Session } from './command.js';
import { completionCommand } from './completion.js';
import { compressCommand } from './compress.js';
import { demoCommand } from './demo.js';
import { evaluateCommand } from './evaluate.js';
import { wrap } from './format.js';
import { imatrixCommand } from './imatrix.js';
import { inspectCommand } from './inspect.js';
import { methodsCommand } from './methods.js';
import { planCommand } from './plan.js';
import { reportCommand } from './report.js';
import { runCommand } from './run.js';
import { createStyle } from './terminal.js';

/**
 * Runs one command line.
 * @param words the arguments after the program's name
 * @returns the exit code: 0, or 1 after one line on standard error that says what is wrong and what to do
 */
export async function execute(words: readonly string[], session: Session): Promise<number> {
  const program = createProgram(session);
  try {
    if (words.length === 0) program.outputHelp();
    else await program.parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const shown = error === session.signal.reason ? stopped() : error;
    session.stderr.write(`${onScreen(errorLine(shown), session)}\n`);
    if (program.opts().trace && error instanceof Error) session.stderr.write(`${error.stack}\n`);
    return 1;
  }
}

/** The whole command line, which help and completion are made from. */
export function createProgram(session: Session): Command {
  const program = new Command('tersor')
    .description('Fits a trained transformer into the bytes you have.')
    .version(packageVersion, '-V, --version', 'print the version')
    .option('--trace', 'print where in the code an error came from')
    .helpCommand('help [command]', 'what a command does')
    .helpOption('-h, --help', 'print this help')
    .configureOutput({
      writeOut: (text) => session.stdout.write(text),
      writeErr: (text) => session.stderr.write(text),
      // Errors are printed by execute(), as one line.
      outputError: () => {},
    })
    .exitOverride();
  compressCommand(program, session);
  planCommand(program, session);
  evaluateCommand(program, session);
  inspectCommand(program, session);
  reportCommand(program, session);
  runCommand(program, session);
  imatrixCommand(program, session);
  methodsCommand(program, session);
  demoCommand(program, session);
  cacheCommand(program, session);
  completionCommand(program, session);
  program.addHelpText('after', '\nStart with: tersor demo\nHelp on one command: tersor compress --help');
  return program;
}

/** Why a job ends when the user asks it to. */
export const stopped = (): TersorError =>
  new TersorError('stopped before the end', { code: 'aborted', remedy: 'run the command again' });

/** A line as it stands for programs, and between words on a terminal, which would break them at its right edge. */
function onScreen(line: string, { stderr, environment }: Session): string {
  const text = stderr.isTTY ? wrap(line, stderr.columns, ' '.repeat(prefix.length + 1)) : line;
  return text.replace(prefix, createStyle(stderr, environment).red(prefix));
}

const prefix = 'error:';

function errorLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
  if (error instanceof TersorError) return `${prefix} ${line}`;
  if (error instanceof CommanderError) return `${prefix} ${line}${remedies[error.code] ?? ''}`;
  return `${prefix} ${line}; this is a fault in tersor, please report it with the output of --trace`;
}

/** What helps where commander only says what is wrong; a wrong value's error says what would be right. */
const remedies: Readonly<Record<string, string>> = {
  'commander.unknownCommand': '; see tersor --help',
  'commander.unknownOption': '; see --help of the command',
  'commander.missingArgument': '; see --help of the command',
  'commander.missingMandatoryOptionValue': '; see --help of the command',
  'commander.optionMissingArgument': '; see --help of the command',
  'commander.excessArguments': '; see --help of the command, and quote what has blanks',
};
