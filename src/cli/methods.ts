import type { Command } from 'commander';
import { byStatus, type Method } from '../method.js';
import { type FamilyDocument, type MethodDocument, type MethodOption, methods } from '../pipeline/methods.js';
import { examples, type Session } from './command.js';
import { significant, table, wrap } from './format.js';
import { createTerminal } from './terminal.js';

export function methodsCommand(program: Command, session: Session): void {
  const command = program
    .command('methods')
    .summary('every method and number format')
    .description(
      'Lists the solvers, the searches for a size and how they measure sensitivity, with the papers they come from and ' +
        'where they win, and the types; recommended ones first.',
    )
    .option('--options', 'with the options of solvers and searches')
    .option('--json', 'print one JSON document, options included')
    .action((flags: { readonly json?: boolean; readonly options?: boolean }) => {
      const terminal = createTerminal(session, flags);
      terminal.json(methods());
      terminal.print(describeMethods(flags.options));
    });
  examples(command, [
    ['tersor methods | less', 'page by page'],
    ['tersor methods --options', 'with the options of each'],
    ["tersor methods --json | jq '.types[].name'", 'the names of all types'],
  ]);
}

function optionLine({ name, description, default: value, choices }: MethodOption): string {
  const wanted = choices ? choices.join('|') : String(value);
  return wrapped(`${name}=${wanted}: ${description}${choices ? ` (default: ${value})` : ''}`, '        ');
}

/** A method, with its options where they are given, as a paragraph. */
function paragraph({
  name,
  title,
  paper,
  status,
  wins,
  options = [],
}: Method & Partial<MethodDocument>): string {
  const lines = [wrapped(title), wrapped(paper), wrapped(`Wins: ${wins}`), ...options.map(optionLine)];
  return [`  ${name}, ${status}`, ...lines].join('\n');
}

function familyParagraph({ names, title, paper, status, wins, examples }: FamilyDocument): string {
  const longest = Math.max(...examples.map(({ name }) => name.length));
  return [
    `  ${wrap(`${names}, ${status}`, 78, '  ')}`,
    wrapped(title),
    wrapped(paper),
    wrapped(`Wins: ${wins}`),
    ...examples.map(({ name, summary }) =>
      wrapped(`${name.padEnd(longest)}  ${summary}`, ' '.repeat(longest + 2)),
    ),
  ].join('\n');
}

export function describeMethods(withOptions = false): string {
  const all = methods();
  const rows = (list: readonly (Method & Partial<MethodDocument> & { readonly use?: string })[]) =>
    byStatus(list).map(({ options = [], use, ...row }) =>
      paragraph({
        ...row,
        name: use ? `${row.name} (${use})` : row.name,
        options: withOptions ? options : [],
      }),
    );
  const families = (list: readonly FamilyDocument[]) => byStatus(list).map(familyParagraph);
  const key = (option: string) => (withOptions ? `; their options: ${option} KEY=VALUE` : '');
  const sections: readonly (readonly [heading: string, ...content: string[]])[] = [
    [`Solvers (--solver${key('--solver-option')})`, ...rows(all.solvers)],
    [
      `Searches for types${withOptions ? ' (their options: --search-option KEY=VALUE)' : ''}`,
      ...rows(all.searches),
    ],
    ['What a search takes for the sensitivity of a type (--sensitivity)', ...rows(all.sensitivity)],
    ['Corrections behind a layer', ...rows(all.corrections)],
    ['Types (--type, --embedding-type, --override, --fallback)', typeTable()],
    ['Types for --format onnx', ...families(all.onnx)],
    ['Types for --format gptq and compressed-tensors', ...families(all.vllm)],
    ['Types for --format safetensors', ...families(all.families)],
  ];
  const closing = withOptions ? [] : ['Options of solvers and searches: tersor methods --options'];
  return [...sections.map((section) => section.join('\n\n')), ...closing].join('\n\n');
}

/** GGUF's types, from many bits to few. */
function typeTable(): string {
  const sorted = methods().types.toSorted((a, b) => b.bitsPerWeight - a.bitsPerWeight);
  const [heading = '', ...rows] = table(
    [{ title: 'type' }, { title: 'bits', align: 'right' }, { title: 'block', align: 'right' }],
    sorted.map(({ name, bitsPerWeight, blockSize }) => [
      name,
      significant(bitsPerWeight, 4),
      String(blockSize),
    ]),
  ).split('\n');
  const indent = ' '.repeat(heading.length + 2);
  return [heading, ...rows.map((row, index) => wrap(`${row}  ${sorted[index]?.summary}`, 80, indent))].join(
    '\n',
  );
}

const wrapped = (text: string, indent = '') => `      ${wrap(text, 74, `      ${indent}`)}`;
