import { type Command, Help } from 'commander';
import type { optionGroups } from '../pipeline/options/row.js';

/** Sections that most people never need. */
const further: ReadonlySet<string | undefined> = new Set<(typeof optionGroups)[number]>([
  'Types of single tensors:',
  'The search for types:',
  'Rounding:',
]);

/** Has `--help` leave out what most people never need, and `--help-all` print everything. */
export function shortHelp(command: Command): Command {
  let all = false;
  command
    .configureHelp({
      visibleOptions(of) {
        const options = Help.prototype.visibleOptions.call(this, of);
        return all ? options : options.filter(({ helpGroupHeading }) => !further.has(helpGroupHeading));
      },
    })
    .optionsGroup('Options:')
    .option('--help-all', 'print help with every option')
    .on('option:help-all', () => {
      all = true;
      command.help();
    })
    .addHelpText('after', () =>
      all
        ? ''
        : `\nOptions for types of single tensors, the search for types and rounding:\n  tersor ${command.name()} --help-all`,
    );
  return command;
}
