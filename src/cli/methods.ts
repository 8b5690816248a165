import type { Command } from 'commander';
import { z } from 'zod';
import { findGrid, gridFamilies, gridNames } from '../grid/index.js';
import { damageMeasures } from '../sensitivity/index.js';
import { solvers } from '../solver/index.js';
import type { Session } from './command.js';
import { significant, table, wrap } from './format.js';
import { createTerminal } from './terminal.js';

export function methodsCommand(program: Command, session: Session): void {
  program
    .command('methods')
    .summary('every method and number format')
    .description(
      'Lists the solvers (--solver) and measures of damage (--damage), with the papers they come from, and the types (--type).',
    )
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
    readonly options: readonly {
      readonly name: string;
      readonly description: string;
      readonly default: unknown;
      readonly choices?: readonly unknown[];
    }[];
  }[];
  readonly damages: readonly {
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
  /** tersor's own types, whose names follow patterns. */
  readonly families: readonly {
    readonly id: string;
    readonly title: string;
    readonly paper: string;
    readonly names: string;
    readonly examples: readonly { readonly name: string; readonly summary: string }[];
  }[];
}

/** Everything that can be chosen, from the same tables that the pipeline chooses by. */
export function listMethods(): Methods {
  return {
    solvers: solvers.map(({ id, name, title, paper, options }) => ({
      id,
      name,
      title,
      paper,
      options: describeOptions(options),
    })),
    damages: damageMeasures.map(({ id, name, title, paper }) => ({ id, name, title, paper })),
    types: gridNames.map((name) => {
      const { blockSize, blockBytes, summary, runtimes } = findGrid(name);
      return { name, bitsPerWeight: (8 * blockBytes) / blockSize, blockSize, summary, runtimes };
    }),
    families: gridFamilies.map(({ id, title, paper, names, examples }) => ({
      id,
      title,
      paper,
      names,
      examples: examples.map((name) => ({ name, summary: findGrid(name).summary })),
    })),
  };
}

function describeOptions(options: z.ZodObject): Methods['solvers'][number]['options'] {
  return Object.entries(z.toJSONSchema(options).properties ?? {}).flatMap(([name, schema]) =>
    typeof schema === 'boolean'
      ? []
      : [
          {
            name,
            description: schema.description ?? '',
            default: schema.default,
            ...(schema.enum ? { choices: schema.enum } : {}),
          },
        ],
  );
}

function optionLine({
  name,
  description,
  default: value,
  choices,
}: ReturnType<typeof describeOptions>[number]): string {
  const wanted = choices ? choices.join('|') : String(value);
  return wrapped(`${name}=${wanted}: ${description}${choices ? ` (default: ${value})` : ''}`, '        ');
}

export function describeMethods(): string {
  const { solvers: methods, damages, types, families } = listMethods();
  const listed = methods.map(({ name, title, paper, options }) =>
    [`  ${name}`, wrapped(title), wrapped(paper), ...options.map(optionLine)].join('\n'),
  );
  const measures = damages.map(({ name, title, paper }) =>
    [`  ${name}`, wrapped(title), wrapped(paper)].join('\n'),
  );
  const sorted = types.toSorted((a, b) => b.bitsPerWeight - a.bitsPerWeight);
  const [heading, ...rows] = table(
    [{ title: 'type' }, { title: 'bits', align: 'right' }, { title: 'block', align: 'right' }],
    sorted.map(({ name, bitsPerWeight, blockSize }) => [
      name,
      significant(bitsPerWeight, 4),
      String(blockSize),
    ]),
  ).split('\n');
  const indent = ' '.repeat((heading?.length ?? 0) + 2);
  const formats = [
    heading,
    ...rows.map((row, index) => wrap(`${row}  ${sorted[index]?.summary}`, 80, indent)),
  ].join('\n');
  const own = families.map(({ names, title, paper, examples }) => {
    const longest = Math.max(...examples.map(({ name }) => name.length));
    return [
      `  ${wrap(names, 78, '  ')}`,
      wrapped(title),
      wrapped(paper),
      ...examples.map(({ name, summary }) =>
        wrapped(`${name.padEnd(longest)}  ${summary}`, ' '.repeat(longest + 2)),
      ),
    ].join('\n');
  });
  return `Solvers (--solver; their options: --solver-option KEY=VALUE)\n\n${listed.join('\n\n')}\n\nMeasures of damage for a search (--damage)\n\n${measures.join('\n\n')}\n\nTypes (--type, --embedding-type, --override, --fallback)\n\n${formats}\n\nTypes for --format safetensors\n\n${own.join('\n\n')}`;
}

const wrapped = (text: string, indent = '') => `      ${wrap(text, 74, `      ${indent}`)}`;
