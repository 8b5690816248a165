import type { Command } from 'commander';
import { TersorError } from '../errors.js';
import { type ImatrixResult, imatrix } from '../pipeline/imatrix.js';
import { examples, type Session, withTerminal } from './command.js';
import { formatBytes, formatCount, formatDuration } from './format.js';
import { addOptions, modelArgument } from './options.js';
import { forceOption, mayOverwrite } from './overwrite.js';

interface Flags {
  readonly output?: string;
  readonly calibration?: string;
  readonly tokens?: number;
  readonly context?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly tokenizer?: string;
  readonly cacheFolder?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function imatrixCommand(program: Command, session: Session): void {
  const command = program
    .command('imatrix')
    .summary("write llama.cpp's importance matrix of a model")
    .description(
      'Runs a text through a model and writes how much energy each input of its linear layers carries, ' +
        'for llama-quantize --imatrix and tersor compress --imatrix.',
    )
    .argument('<model>', modelArgument)
    .option('-o, --output <file>', "file to write: .gguf, or .dat for llama.cpp's older kind");
  forceOption(command);
  addOptions(command, ['calibration', 'tokens', 'context', 'seed', 'threads', 'tokenizer', 'cacheFolder'], {
    tokens: 'tokens of it at most (default: 65536)',
    context: 'length of the sequences (default: at most 512)',
  })
    .option('--json', 'print one JSON document')
    .action((model: string, { output, json, force, ...flags }: Flags) =>
      withTerminal(session, { ...(json ? { json } : {}) }, async (terminal) => {
        if (!output)
          throw new TersorError('there is no output file', {
            remedy: 'add -o FILE.gguf, or FILE.dat for tools that read the older kind only',
          });
        await mayOverwrite([output], force, session);
        const result = await imatrix({ model, output, ...flags }, terminal.hooks);
        terminal.json(result);
        terminal.print(describeImatrix(result));
      }),
    );
  examples(command, [
    [
      'tersor imatrix ./model -o model.imatrix.gguf --calibration my-text.txt',
      'for llama-quantize --imatrix',
    ],
    [
      'tersor compress ./model -o model.gguf --type q4_k --imatrix model.imatrix.gguf',
      'rounds under it, in seconds and without a calibration',
    ],
  ]);
}

export function describeImatrix(result: ImatrixResult): string {
  const { output, bytes, entries, tokens, chunks, context, seconds } = result;
  const text = `${formatCount(tokens)} tokens in ${formatCount(chunks)} sequences of ${context}`;
  return `${output}: ${formatBytes(bytes)}, ${entries} weights, ${text}, ${formatDuration(seconds)}`;
}
