/** What can stand behind an option or in the place of an argument. */
export interface Values {
  readonly kind: 'files' | 'folders' | 'words' | 'nothing';
  readonly words: readonly string[];
}

export interface CompletedOption {
  /** `--output`, `-o`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** What it takes; absent where it takes nothing. */
  readonly values?: Values;
}

export interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  readonly options: readonly CompletedOption[];
  /** Of its first argument, and of all others. */
  readonly argument: Values;
}

/** Completion scripts, by shell. */
export const shellScripts = { bash, zsh, fish } as const;

const valued = (options: readonly CompletedOption[]) =>
  options.flatMap(({ flags, values }) => (values ? [{ flags, values }] : []));

/** The manual of bash, “Programmable Completion”. */
function bash(commands: readonly CompletedCommand[]): string {
  const values = ({ kind, words }: Values) =>
    ({
      files: 'compopt -o default',
      folders: 'compopt -o dirnames',
      words: `COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$word"))`,
      nothing: ':',
    })[kind];
  const cases = commands.map(
    ({ name, options, argument }) => `    ${name})
      case $before in
${valued(options)
  .map(({ flags, values: own }) => `        ${flags.join('|')}) ${values(own)}; return ;;`)
  .join('\n')}
      esac
      if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W '${options.flatMap(({ flags }) => flags).join(' ')}' -- "$word"))
      else
        ${values(argument)}
      fi ;;`,
  );
  return `# Completion of tersor's command line in bash.
_tersor() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')} --help --version' -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('\n').replaceAll('      case $before in\n\n      esac\n', '')}
  esac
}
complete -F _tersor tersor
`;
}

/** The manual of zsh, “Completion System”: _arguments, _describe. */
function zsh(commands: readonly CompletedCommand[]): string {
  const quote = (text: string) => text.replaceAll("'", "'\\''");
  // Brackets end descriptions and colons divide specifications.
  const plain = (text: string) => quote(text.replace(/[[\]:\\]/g, (sign) => `\\${sign}`));
  const action = ({ kind, words }: Values) =>
    ({ files: '_files', folders: '_files -/', words: `(${words.join(' ')})`, nothing: ' ' })[kind];
  const option = ({ flags, description, values }: CompletedOption) =>
    flags.map((flag) => `'*${flag}[${plain(description)}]${values ? `:value:${action(values)}` : ''}'`);
  const cases = commands.map(
    ({ name, options, argument }) =>
      `    ${name}) _arguments ${[...options.flatMap(option), `'*:argument:${action(argument)}'`].join(' \\\n      ')} ;;`,
  );
  return `#compdef tersor
# Completion of tersor's command line in zsh.
_tersor() {
  local -a commands=(
${commands.map(({ name, description }) => `    '${name}:${plain(description)}'`).join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _tersor ]; then _tersor "$@"; else compdef _tersor tersor; fi
`;
}

/** The manual of fish, “complete”. */
function fish(commands: readonly CompletedCommand[]): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, (sign) => `\\${sign}`)}'`;
  const action = ({ kind, words }: Values) =>
    ({
      files: '-rF',
      folders: `-xa '(__fish_complete_directories)'`,
      words: `-xa ${quote(words.join(' '))}`,
      nothing: '-x',
    })[kind];
  const lines = commands.flatMap(({ name, description, options, argument }) => {
    const inside = `complete -c tersor -n '__fish_seen_subcommand_from ${name}'`;
    const own = options.map(({ flags, description: about, values }) => {
      const names = flags.map((flag) =>
        flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
      );
      return `${inside} ${names.join(' ')} -d ${quote(about)}${values ? ` ${action(values)}` : ''}`;
    });
    const first = { files: '-F', folders: action(argument), words: action(argument), nothing: '-f' };
    return [
      `complete -c tersor -n __fish_use_subcommand -a ${name} -d ${quote(description)}`,
      ...own,
      `${inside} ${first[argument.kind]}`,
    ];
  });
  return `# Completion of tersor's command line in fish.
complete -c tersor -f
${lines.join('\n')}
`;
}
