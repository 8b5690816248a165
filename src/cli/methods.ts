import type { Command } from 'commander';
import type { Method } from '../method.js';
import { type FamilyDocument, type MethodDocument, type MethodOption, methods } from '../pipeline/methods.js';
import { examples, type Session } from './command.js';
import { significant, table, wrap } from './format.js';
import { createTerminal } from './terminal.js';

export function methodsCommand(program: Command, session: Session): void {
  const command = program
    .command('methods')
    .summary('every method and number format')
    .description(
      'Lists the solvers, the searches for a size and how they measure sensitivity, with the papers they come from, and ' +
        'the types.',
    )
    .option('--json', 'print one JSON document')
    .action((flags: { readonly json?: boolean }) => {
      const terminal = createTerminal(session, flags);
      terminal.json(methods());
      terminal.print(describeMethods());
    });
  examples(command, [
    ['tersor methods | less', 'page by page'],
    ["tersor methods --json | jq '.types[].name'", 'the names of all types'],
  ]);
}

function optionLine({ name, description, default: value, choices }: MethodOption): string {
  const wanted = choices ? choices.join('|') : String(value);
  return wrapped(`${name}=${wanted}: ${description}${choices ? ` (default: ${value})` : ''}`, '        ');
}

/** A method with its options, as a paragraph. */
function paragraph({ name, title, paper, options = [] }: Method & Partial<MethodDocument>): string {
  return [`  ${name}`, wrapped(title), wrapped(paper), ...options.map(optionLine)].join('\n');
}

function familyParagraph({ names, title, paper, examples }: FamilyDocument): string {
  const longest = Math.max(...examples.map(({ name }) => name.length));
  return [
    `  ${wrap(names, 78, '  ')}`,
    wrapped(title),
    wrapped(paper),
    ...examples.map(({ name, summary }) =>
      wrapped(`${name.padEnd(longest)}  ${summary}`, ' '.repeat(longest + 2)),
    ),
  ].join('\n');
}

export function describeMethods(): string {
  const {
    solvers: ways,
    searches: plans,
    sensitivity,
    corrections: made,
    types,
    onnx,
    vllm,
    families,
  } = methods();
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
  const sections: readonly (readonly [heading: string, ...content: string[]])[] = [
    ['Solvers (--solver; their options: --solver-option KEY=VALUE)', ...ways.map(paragraph)],
    [
      'Searches for types (their options: --search-option KEY=VALUE)',
      ...plans.map((plan) => paragraph({ ...plan, name: `${plan.name} (${plan.use})` })),
    ],
    ['What a search takes for the sensitivity of a type (--sensitivity)', ...sensitivity.map(paragraph)],
    [
      'Corrections behind a layer',
      ...made.map((correction) =>
        paragraph({ ...correction, name: `${correction.name} (${correction.use})` }),
      ),
    ],
    ['Types (--type, --embedding-type, --override, --fallback)', formats],
    ['Types for --format onnx', ...onnx.map(familyParagraph)],
    ['Types for --format gptq and compressed-tensors', ...vllm.map(familyParagraph)],
    ['Types for --format safetensors', ...families.map(familyParagraph)],
  ];
  return sections.map((section) => section.join('\n\n')).join('\n\n');
}

const wrapped = (text: string, indent = '') => `      ${wrap(text, 74, `      ${indent}`)}`;
