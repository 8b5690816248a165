import type { Command } from 'commander';
import { type Inspection, inspect } from '../pipeline/inspect.js';
import { examples, type Session, withTerminal } from './command.js';
import { fields, formatCount, significant } from './format.js';
import { modelArgument } from './options.js';
import { tensorTable, typeTable } from './tensors.js';

export function inspectCommand(program: Command, session: Session): void {
  const command = program
    .command('inspect')
    .summary('what is inside a model')
    .description('Lists tensors, types and sizes of a model, and how it was made if tersor made it.')
    .argument('<model>', modelArgument)
    .option('-v, --verbose', 'every tensor and all metadata')
    .option('--json', 'print one JSON document')
    .action((model: string, flags: { readonly verbose?: boolean; readonly json?: boolean }) =>
      withTerminal(session, flags, async (terminal) => {
        const inspection = await inspect({ model }, terminal.hooks);
        terminal.json(inspection);
        terminal.print(describeInspection(inspection, flags.verbose));
      }),
    );
  examples(command, [
    ['tersor inspect model.gguf', 'tensors, grouped by kind, and how it was made'],
    ['tersor inspect ./model --verbose', 'every tensor and all metadata'],
  ]);
}

export function describeInspection(inspection: Inspection, all = false): string {
  const {
    path,
    format,
    architecture,
    parameters,
    bytes,
    stack,
    bitsPerWeight,
    tensors,
    metadata,
    provenance,
  } = inspection;
  const overview = fields([
    ['model', path],
    ['format', `${format}, architecture ${architecture}`],
    ['weights', `${formatCount(parameters)}, ${significant(bitsPerWeight, 3)} bits each on average`],
    ['size', `${formatCount(bytes)} bytes`],
    ...(stack ? describeStack(stack) : []),
  ]);
  const sections = [overview, tensorTable(tensors, { all }), typeTable(tensors)];
  if (provenance) sections.push(`made by tersor\n${list(unfold(provenance))}`);
  if (all) sections.push(`metadata\n${list(metadata)}`);
  return sections.join('\n\n');
}

function describeStack(stack: NonNullable<Inspection['stack']>): [string, string][] {
  const { bytes, headerBytes, completeBytes, slices, present } = stack;
  const parts = present < slices ? `${formatCount(present)} of ${formatCount(slices)}` : formatCount(slices);
  return [
    [
      'stacked',
      `${parts} slices${present < slices ? ` of a file of ${formatCount(bytes)} bytes` : ''}, the most useful first`,
    ],
    [
      '',
      `header ${formatCount(headerBytes)} bytes; every tensor is there from byte ${formatCount(completeBytes)} on`,
    ],
  ];
}

/** Values that are JSON objects as entries of their own: recipe.type, recipe.solver… */
function unfold(entries: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(entries).flatMap(([key, value]): [string, unknown][] => {
      if (!value.startsWith('{')) return [[key, value]];
      return Object.entries(JSON.parse(value)).map(([inner, item]) => [
        `${key}.${inner}`,
        typeof item === 'object' ? JSON.stringify(item) : item,
      ]);
    }),
  );
}

function list(entries: Readonly<Record<string, unknown>>): string {
  return fields(Object.entries(entries).map(([key, value]) => [`  ${key}`, short(value)]));
}

const longestValue = 200; // chat templates and settings in one value would fill the screen

function short(value: unknown): string {
  const text = String(value).replace(/\s+/g, ' ');
  return text.length > longestValue ? `${text.slice(0, longestValue - 1)}…` : text;
}
