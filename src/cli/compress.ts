import { resolve } from 'node:path';
import type { Command } from 'commander';
import { TersorError } from '../errors.js';
import { compress, inputsOf } from '../pipeline/compress.js';
import { findFormat } from '../pipeline/formats/index.js';
import type { CompressResult, Prefix, Verification } from '../pipeline/measure/result.js';
import { withRecipe } from '../pipeline/options.js';
import { plan } from '../pipeline/plan.js';
import { report } from '../pipeline/report.js';
import { refuseInputs } from '../writer/inputs.js';
import { checkOutput } from '../writer/output.js';
import { examples, type Session, withTerminal } from './command.js';
import { describeEmbeddings, formatCosine } from './embeddings.js';
import {
  fields,
  formatBytes,
  formatCount,
  formatDivergence,
  formatDuration,
  formatPercent,
  significant,
  wrap,
} from './format.js';
import { nextSteps } from './next-steps.js';
import { compressOptions, modelArgument, type PlanFlags, planOptions } from './options.js';
import { forceOption, mayOverwrite } from './overwrite.js';
import { describeBits, embeddingHint } from './parts.js';
import { describePlan, describeSearch, describeTuning } from './plan.js';
import { describeReport } from './report.js';
import { shortHelp } from './short-help.js';
import { tensorTable } from './tensors.js';
import type { Terminal } from './terminal.js';

interface Flags extends PlanFlags {
  readonly output?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly resume?: boolean;
  readonly report?: string;
}

export function compressCommand(program: Command, session: Session): void {
  const command = program
    .command('compress')
    .summary('make a smaller model file')
    .description(
      'Reads a trained model, calibrates it on a text, rounds every linear layer so that its ' +
        'outputs change least, writes a GGUF or a folder for transformers.js or vLLM, opens it in its own runtime if ' +
        'that is at hand, and measures what it cost.',
    )
    .argument('<model>', modelArgument)
    .optionsGroup('What to do:')
    .option('-o, --output <path>', 'file (.gguf, .stack) or, with another --format, folder to write')
    .option('--recipe <file>', 'carry out a plan made by tersor plan --save')
    .option('--report <file>', 'also write an HTML report (tersor report) of the result')
    .option('--dry-run', 'only say what would be written, its exact size and its cost')
    .option('--resume', 'go on where an interrupted run of the same command stopped (default)')
    .option('--no-resume', 'start afresh, and keep nothing for a later run');
  forceOption(command);
  planOptions(command).action((model: string, flags: Flags) =>
    withTerminal(session, flags, (terminal) => run(model, flags, terminal, session)),
  );
  shortHelp(command);
  examples(command, [
    ['tersor compress ./model -o model.gguf', 'about 4.5 bits per weight'],
    ['tersor compress ./model -o model.gguf --size 14MB', 'the best file of at most 14 MB'],
    ['tersor compress ./model -o ./model-onnx --format onnx', 'a folder for transformers.js'],
    ['tersor compress ./model -o model.stack', 'a file of which every part from the beginning is a model'],
    [
      'tersor compress ./model -o model.gguf --type q3_k --calibration my-text.txt',
      'every layer in one type, calibrated on your own text',
    ],
    [
      "tersor compress ./model --type q4_k --override 'ffn_down=q6_k' --dry-run",
      'the exact size of a plan, before any work',
    ],
  ]);
}

async function run(
  model: string,
  { output, dryRun, force, resume, report: page, verbose, ...flags }: Flags,
  terminal: Terminal,
  session: Session,
): Promise<void> {
  if (!output && !dryRun) {
    throw new TersorError('there is no output file', {
      remedy: 'add -o FILE.gguf, or --dry-run to only plan',
    });
  }
  if (dryRun && page !== undefined) {
    throw new TersorError('--report and --dry-run contradict each other', { remedy: 'give one of them' });
  }
  if (flags.predict && !dryRun) {
    throw new TersorError('--predict is for plans: compress measures what the model lost', {
      remedy: 'add --dry-run, or leave --predict out',
    });
  }
  const options = {
    ...(await compressOptions(model, output, flags, terminal.hooks.warn)),
    ...(resume === undefined ? {} : { resume }),
  };
  if (dryRun) {
    const planned = await plan(options, terminal.hooks);
    terminal.json(planned);
    terminal.print(describePlan(planned, verbose));
    return;
  }
  if (page !== undefined) {
    await checkOutput(page);
    await refuseInputs(page, inputsOf(options));
    if (resolve(page) === resolve(options.output))
      throw new TersorError('--report and --output name the same file', {
        remedy: 'give another name to one',
      });
  }
  await findFormat(withRecipe(options)).check(options.output);
  await refuseInputs(options.output, [...inputsOf(options), flags.recipe]);
  await mayOverwrite([options.output, page], force, session);
  const result = await compress(options, terminal.hooks);
  const findings =
    page === undefined
      ? undefined
      : await report(
          { ...options, model: options.output, output: page, against: model, run: { options, result } },
          terminal.hooks,
        );
  terminal.json(result);
  terminal.print(describeResult(result, terminal.style, verbose));
  const next = nextSteps(findFormat(withRecipe(options)).name, options.output, !result.embeddings);
  if (next) terminal.print(`\n${next}`);
  if (page !== undefined && findings) terminal.print(`\n${describeReport(page, findings)}`);
}

export function describeResult(result: CompressResult, style: Terminal['style'], all = false): string {
  const { verified, heldOut, embeddings, prefixes, search, tuning, seconds, peakMemoryBytes, resumed } =
    result;
  const roundedCount = result.tensors.filter(({ rounded }) => rounded).length;
  const measures = fields([
    ...(search ? describeSearch(search) : []),
    ...(tuning ? [describeTuning(tuning)] : []),
    ...(roundedCount > 0
      ? ([
          [
            'rounded',
            `${roundedCount} of ${result.tensors.length} tensors to nearest, which does better on tokens held out`,
          ],
        ] as const)
      : []),
    ...(resumed > 0
      ? ([
          ['resumed', `${resumed} of ${result.tensors.length} tensors were solved by an earlier run`],
        ] as const)
      : []),
    ...embeddingHint(result.bytes, result.parts),
    ['time', `${formatDuration(seconds)}, at most ${formatBytes(peakMemoryBytes)} of memory`],
    verified
      ? ['verified', describeVerification(verified)]
      : ['verified', 'read back by tersor; no other runtime that opens it is at hand'],
    ...(prefixes ?? []).filter(({ share }) => share < 1).map(describePrefix),
    ...(heldOut
      ? ([
          ['held out', `${formatCount(heldOut.tokens)} tokens of the calibration text, not calibrated on`],
        ] as const)
      : []),
    ...(embeddings
      ? ([
          [
            'held out',
            `${formatCount(embeddings.texts)} sentences of the calibration text, not calibrated on`,
          ],
          ...describeEmbeddings(embeddings),
        ] as const)
      : []),
  ]);
  const tensors = result.tensors.map(({ rounded, ...tensor }) =>
    rounded ? { ...tensor, note: 'rounded to nearest' } : tensor,
  );
  return [tensorTable(tensors, { all }), measures, style.bold(wrap(verdict(result)))].join('\n\n');
}

function describePrefix({ share, bytes, heldOut }: Prefix): readonly [string, string] {
  const { divergence, perplexity } = heldOut;
  const cost = divergence ? `divergence ${formatDivergence(divergence.mean)}, ` : '';
  return [
    `first ${significant(100 * share, 2)} %`,
    `${formatBytes(bytes)}: ${cost}perplexity ${significant(perplexity, 4)}`,
  ];
}

function describeVerification(verified: Verification): string {
  const { runtime, objective, tokens, bounded, bound } = verified;
  const figure = (of: typeof bounded) =>
    `${formatDivergence(verified[of], 2)}${of === bounded ? ` (bound ${significant(bound, 2)})` : ''}`;
  const opened = `${runtime} opens it; on ${formatCount(tokens)} tokens its`;
  if (objective === 'prediction')
    return `${opened} predictions differ from ours by a divergence of ${figure('meanDivergence')}, a log-probability by at most ${figure('largestShift')}`;
  return bounded === 'largestShift'
    ? `${opened} embeddings differ from ours by at most ${figure('largestShift')} in a component`
    : `${opened} embeddings differ from ours by a cosine distance of ${figure('meanDivergence')}`;
}

/** The whole run in one honest sentence. */
export function verdict(result: CompressResult): string {
  const { output, bytes, originalBytes, bitsPerWeight, parts, heldOut, embeddings, verified } = result;
  const size = `${output}: ${formatBytes(bytes)}, ${formatPercent(bytes / originalBytes)} of ${formatBytes(originalBytes)} (${describeBits(bitsPerWeight, parts)})`;
  const cost: string[] = [];
  if (heldOut?.divergence) {
    const { mean, standardError } = heldOut.divergence;
    cost.push(`divergence ${formatDivergence(mean)} ± ${formatDivergence(standardError, 2)}`);
  }
  if (heldOut?.reference) {
    cost.push(
      `perplexity ${significant(heldOut.reference.perplexity, 4)} → ${significant(heldOut.perplexity, 4)}`,
    );
  }
  if (embeddings) {
    cost.push(
      `embeddings at a mean cosine of ${formatCosine(embeddings.cosine.mean)}`,
      `same nearest sentence ${formatPercent(embeddings.retrieval.top1)}`,
    );
  }
  if (heldOut?.sameTop !== undefined) cost.push(`same top token ${formatPercent(heldOut.sameTop)}`);
  return [size, ...cost, ...(verified ? [`verified in ${verified.runtime}`] : [])].join(', ');
}
