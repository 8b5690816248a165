import { Argument, type Command, Help, type Option } from 'commander';
import { searches } from '../allocation/index.js';
import { gridFamilies, gridNames, onnxFamilies, vllmFamilies } from '../grid/index.js';
import { formatNames } from '../pipeline/formats/names.js';
import { flagOf } from '../pipeline/options/flags.js';
import { optionNames, rowOf } from '../pipeline/options/rows.js';
import { sensitivityMeasures } from '../sensitivity/index.js';
import { solvers } from '../solver/index.js';
import { examples, type Session } from './command.js';
import { type CompletedCommand, shellScripts, type Values } from './shells.js';

const shells = ['bash', 'zsh', 'fish'] as const;

export function completionCommand(program: Command, session: Session): void {
  const command = program
    .command('completion')
    .summary('completion in bash, zsh and fish')
    .description(
      'Prints a script that teaches a shell the commands, options and names of types and methods of this version.',
    )
    .addArgument(new Argument('<shell>', 'which shell').choices(shells))
    .action((shell: (typeof shells)[number]) => {
      session.stdout.write(shellScripts[shell](describeProgram(program)));
    });
  examples(command, [
    ['source <(tersor completion bash)', 'in ~/.bashrc'],
    ['source <(tersor completion zsh)', 'in ~/.zshrc, after compinit'],
    ['tersor completion fish > ~/.config/fish/completions/tersor.fish', 'once'],
  ]);
}

/** The commands of the program as shells need them. */
export function describeProgram(program: Command): CompletedCommand[] {
  const commands = program.createHelp().visibleCommands(program);
  return commands.map((command) => ({
    name: command.name(),
    description: command.summary() || command.description(),
    options: new Help().visibleOptions(command).map(describeOption), // of short help, too, all
    argument:
      command.name() === 'help'
        ? wordsOf(program.commands.map((each) => each.name()))
        : argumentValues(command.registeredArguments[0]),
  }));
}

function describeOption({ short, long, description, required, argChoices, flags, attributeName }: Option) {
  const names = [long, short].filter((flag) => flag !== undefined);
  if (!required) return { flags: names, description };
  const known = argChoices ?? methodNames[long ?? '']?.() ?? choices.get(long ?? '');
  const placeholder = /<(.*)>/.exec(flags)?.[1] ?? attributeName();
  return { flags: names, description, values: known ? wordsOf(known) : valuesFor(placeholder) };
}

const argumentValues = (argument: Argument | undefined): Values => {
  if (!argument) return nothing;
  return argument.argChoices ? wordsOf(argument.argChoices) : valuesFor(argument.name());
};

/** Words of options that take one of a few, by flag. */
const choices = new Map(optionNames.map((name) => [flagOf(name), rowOf(name).words] as const));

const nothing: Values = { kind: 'nothing', words: [] };
const wordsOf = (words: readonly string[]): Values => ({ kind: 'words', words });

/** By the word for the value in the help. */
function valuesFor(placeholder: string): Values {
  if (placeholder === 'folder') return { kind: 'folders', words: [] };
  if (['file', 'path', 'model'].includes(placeholder)) return { kind: 'files', words: [] };
  return nothing;
}

/** GGUF's types, and examples of those whose names follow patterns. */
const typeNames = [
  ...new Set([
    ...gridNames,
    ...[...onnxFamilies, ...vllmFamilies, ...gridFamilies].flatMap(({ examples: names }) => names),
  ]),
];

/** Values that come from the table of options, and from those of methods. */
const methodNames: Readonly<Record<string, () => readonly string[]>> = {
  '--format': () => formatNames,
  '--type': () => typeNames,
  '--embedding-type': () => typeNames,
  '--fallback': () => typeNames,
  '--types': () => typeNames,
  '--solver': () => solvers.map(({ name }) => name),
  '--search': () => searches.map(({ name }) => name),
  '--sensitivity': () => sensitivityMeasures.map(({ name }) => name),
};
