import type { Command } from 'commander';
import type { Portion } from '../checkpoint/stack/stack.js';
import { assess, type Evaluation } from '../pipeline/evaluate.js';
import { type Runtime, runtimes } from '../pipeline/formats/runtime.js';
import type { EncoderEvaluation } from '../pipeline/measure/encoder.js';
import { defaultEvaluationTokens } from '../pipeline/options.js';
import { portion } from './arguments.js';
import { examples, type Session, withTerminal } from './command.js';
import { describeEmbeddings } from './embeddings.js';
import {
  fields,
  formatBytes,
  formatChange,
  formatCount,
  formatDivergence,
  formatPercent,
  significant,
} from './format.js';
import { addOptions, modelArgument } from './options.js';

interface Flags {
  readonly text: string;
  readonly against?: string;
  readonly context?: number;
  readonly tokens?: number;
  readonly runtime?: 'tersor' | Runtime['name'];
  readonly bytes?: Portion;
  readonly threads?: number;
  readonly tokenizer?: string;
  readonly cacheFolder?: string;
  readonly json?: boolean;
}

export function evaluateCommand(program: Command, session: Session): void {
  const command = program
    .command('evaluate')
    .summary('perplexity on a text, or how near an encoder is to its original')
    .description(
      'Measures how well a model predicts a text. With --against, also how far its predictions are ' +
        'from those of the original: KL divergence, in nats per token. Of an encoder, how near its embeddings ' +
        'of the sentences are to those of the original, and whether a search among them finds the same.',
    )
    .argument('<model>', modelArgument)
    .requiredOption('--text <file>', 'text to predict, not the one used for calibration')
    .option('--against <model>', 'the original model')
    .option('--bytes <size>', 'use only so much of a .stack, such as 50% or 1.5MB', portion)
    .addOption(
      program
        .createOption('--runtime <name>', 'what computes the predictions')
        .choices(['tersor', ...Object.keys(runtimes)]),
    );
  addOptions(command, ['context', 'tokens', 'threads', 'tokenizer', 'cacheFolder'], {
    context: 'length of the windows (default: at most 512)',
    tokens: `tokens of text at most (default: ${formatCount(defaultEvaluationTokens)})`,
  })
    .option('--json', 'print one JSON document')
    .action((model: string, { json, bytes, ...flags }: Flags) =>
      withTerminal(session, { ...(json ? { json } : {}) }, async (terminal) => {
        const evaluation = await assess(
          { model, ...flags, ...(bytes ? { portion: bytes } : {}) },
          terminal.hooks,
        );
        terminal.json(evaluation);
        terminal.print('cosine' in evaluation ? describeEncoder(evaluation) : describeEvaluation(evaluation));
      }),
    );
  examples(command, [
    ['tersor evaluate model.gguf --text held-out.txt', 'perplexity'],
    ['tersor evaluate model.gguf --against ./model --text held-out.txt', 'what compression cost'],
    ['tersor evaluate model.stack --against ./model --text held-out.txt --bytes 50%', 'half of it'],
  ]);
}

function describeEncoder(evaluation: EncoderEvaluation): string {
  return fields([
    describeSize(evaluation),
    ['compared', `${formatCount(evaluation.texts)} sentences`],
    ...describeEmbeddings(evaluation),
  ]);
}

const describeSize = ({ bytes, reference }: Pick<Evaluation, 'bytes'> & { reference?: { bytes: number } }) =>
  [
    'size',
    `${formatCount(bytes)} bytes${reference ? `, ${formatPercent(bytes / reference.bytes)} of ${formatBytes(reference.bytes)}` : ''}`,
  ] as const;

export function describeEvaluation(evaluation: Evaluation): string {
  const { tokens, perplexity, reference, divergence, sameTop } = evaluation;
  const number = (value: number) => formatDivergence(value);
  return fields([
    describeSize(evaluation),
    ['scored', `${formatCount(tokens)} tokens`],
    [
      'perplexity',
      reference
        ? `${significant(perplexity, 5)} (original ${significant(reference.perplexity, 5)}, ${formatChange(reference.perplexity, perplexity)})`
        : significant(perplexity, 5),
    ],
    ...(divergence
      ? ([
          [
            'divergence',
            `${number(divergence.mean)} ± ${formatDivergence(divergence.standardError, 2)} nats per token`,
          ],
          [
            '',
            `half below ${number(divergence.p50)}, 90 % below ${number(divergence.p90)}, 99 % below ${number(divergence.p99)}, worst ${number(divergence.max)}`,
          ],
        ] as const)
      : []),
    ...(sameTop === undefined ? [] : ([['same top', `${formatPercent(sameTop)} of the tokens`]] as const)),
  ]);
}
