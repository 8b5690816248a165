import type { Command } from 'commander';
import { z } from 'zod';
import { searches } from '../allocation/index.js';
import { corrections } from '../correction/index.js';
import {
  findGrid,
  type GridFamily,
  gridFamilies,
  gridNames,
  onnxFamilies,
  vllmFamilies,
} from '../grid/index.js';
import type { Method, OptionalMethod } from '../method.js';
import { searchUses } from '../pipeline/search/uses.js';
import { sensitivityMeasures } from '../sensitivity/index.js';
import { solvers } from '../solver/index.js';
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
      terminal.json(listMethods());
      terminal.print(describeMethods());
    });
  examples(command, [
    ['tersor methods | less', 'page by page'],
    ["tersor methods --json | jq '.types[].name'", 'the names of all types'],
  ]);
}

interface MethodOption {
  readonly name: string;
  readonly description: string;
  readonly default: unknown;
  readonly choices?: readonly unknown[];
}

interface MethodDocument extends Method {
  readonly options: readonly MethodOption[];
}

/** Types whose names follow a pattern. */
interface FamilyDocument {
  readonly id: string;
  readonly title: string;
  readonly paper: string;
  readonly names: string;
  readonly examples: readonly { readonly name: string; readonly summary: string }[];
}

interface Methods {
  readonly solvers: readonly MethodDocument[];
  readonly searches: readonly (MethodDocument & { readonly use: string })[];
  readonly sensitivity: readonly Method[];
  readonly corrections: readonly (Method & { readonly use: string })[];
  readonly types: readonly {
    readonly name: string;
    readonly bitsPerWeight: number;
    readonly blockSize: number;
    readonly summary: string;
    readonly runtimes: readonly string[];
  }[];
  /** Types of ONNX folders, whose names follow patterns. */
  readonly onnx: readonly FamilyDocument[];
  /** Types of folders for vLLM, likewise. */
  readonly vllm: readonly FamilyDocument[];
  /** tersor's own types, likewise. */
  readonly families: readonly FamilyDocument[];
}

/** Everything that can be chosen, from the same tables that the pipeline chooses by. */
export function listMethods(): Methods {
  return {
    solvers: solvers.map(describeMethod),
    searches: searches.map(describeSearch),
    sensitivity: sensitivityMeasures.map(({ id, name, title, paper }) => ({ id, name, title, paper })),
    corrections,
    types: gridNames.map((name) => {
      const { blockSize, blockBytes, summary, runtimes } = findGrid(name);
      return { name, bitsPerWeight: (8 * blockBytes) / blockSize, blockSize, summary, runtimes };
    }),
    onnx: onnxFamilies.map(describeFamily),
    vllm: vllmFamilies.map(describeFamily),
    families: gridFamilies.map(describeFamily),
  };
}

function describeFamily({ id, title, paper, names, examples, find }: GridFamily): FamilyDocument {
  const described = examples.map((name) => ({ name, summary: find(name)?.summary ?? '' }));
  return { id, title, paper, names, examples: described };
}

function describeMethod({ id, name, title, paper, options }: OptionalMethod): MethodDocument {
  return { id, name, title, paper, options: describeOptions(options) };
}

/** A search as the command line uses it. */
function describeSearch(method: OptionalMethod): MethodDocument & { readonly use: string } {
  const document = describeMethod(method);
  const { use = '', defaults = {}, fixed } = searchUses[method.name] ?? {};
  const options = document.options.map((option) =>
    Object.hasOwn(defaults, option.name) ? { ...option, default: defaults[option.name] } : option,
  );
  return { ...document, use, options: fixed ? [] : options };
}

function describeOptions(options: z.ZodObject): MethodOption[] {
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
    solvers: methods,
    searches: plans,
    sensitivity,
    corrections: made,
    types,
    onnx,
    vllm,
    families,
  } = listMethods();
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
    ['Solvers (--solver; their options: --solver-option KEY=VALUE)', ...methods.map(paragraph)],
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
