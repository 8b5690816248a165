import type { Command } from 'commander';
import { findGrid, gridNames } from '../grid/index.js';
import { solvers } from '../solver/index.js';
import type { Session } from './command.js';
import { significant, table, wrap } from './format.js';
import { createTerminal } from './terminal.js';

export function methodsCommand(program: Command, session: Session): void {
  program
    .command('methods')
    .summary('every method and number format')
    .description('Lists the solvers (--solver), with the papers they come from, and the types (--type).')
    .option('--json', 'print one JSON document')
    .action((flags: { readonly json?: boolean }) => {
      const terminal = createTerminal(session, flags);
      terminal.json(listMethods());
      terminal.print(describeMethods());
    });
}

interface Methods {
  readonly solvers: readonly {
    readonly id: string;
    readonly name: string;
    readonly title: string;
    readonly paper: string;
  }[];
  readonly types: readonly {
    readonly name: string;
    readonly bitsPerWeight: number;
    readonly blockSize: number;
    readonly summary: string;
    readonly runtimes: readonly string[];
  }[];
}

/** Everything that can be chosen, from the same tables that the pipeline chooses by. */
export function listMethods(): Methods {
  return {
    solvers: Object.values(solvers).map(({ id, name, title, paper }) => ({ id, name, title, paper })),
    types: gridNames.map((name) => {
      const { blockSize, blockBytes, summary, runtimes } = findGrid(name);
      return { name, bitsPerWeight: (8 * blockBytes) / blockSize, blockSize, summary, runtimes };
    }),
  };
}

export function describeMethods(): string {
  const { solvers: methods, types } = listMethods();
  const listed = methods.map(({ name, title, paper }) => `  ${name}\n${wrapped(title)}\n${wrapped(paper)}`);
  const rows = types
    .toSorted((a, b) => b.bitsPerWeight - a.bitsPerWeight)
    .map(({ name, bitsPerWeight, blockSize, summary }) => [
      `  ${name}`,
      significant(bitsPerWeight, 4),
      String(blockSize),
      summary,
    ]);
  const formats = table(
    [
      { title: '  type' },
      { title: 'bits', align: 'right' },
      { title: 'block', align: 'right' },
      { title: '', flexible: true },
    ],
    rows,
  );
  return `Solvers (--solver)\n\n${listed.join('\n\n')}\n\nTypes (--type, --embedding-type, --override, --fallback)\n\n${formats}`;
}

const wrapped = (text: string) => `      ${wrap(text, 80, '      ')}`;
