import { type OptionName, rowOf } from './rows.js';

/** --kebab-case of an option. */
export const flagOf = (name: OptionName): string =>
  `--${rowOf(name).flag ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** What a flag is called in programs: `--no-resume` is about `resume`, `--dry-run` about `dryRun`. */
export const attributeOf = (flag: string): string =>
  flag.replace(/^--(no-)?/, '').replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
