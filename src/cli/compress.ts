import type { Command } from 'commander';
import { TersorError } from '../errors.js';
import { type CompressResult, compress, plan } from '../pipeline/compress.js';
import type { CompressOptions, Override } from '../pipeline/options.js';
import type { Plan } from '../pipeline/plan.js';
import {
  byteSize,
  choice,
  list,
  numberBetween,
  override,
  positiveInteger,
  setting,
  typeName,
  wholeNumber,
} from './arguments.js';
import { examples, type Session, withTerminal } from './command.js';
import {
  fields,
  formatBytes,
  formatCount,
  formatDuration,
  formatPercent,
  significant,
  wrap,
} from './format.js';
import { collapseNames, tensorTable } from './tensors.js';
import type { Terminal } from './terminal.js';

interface Flags {
  readonly output?: string;
  readonly format?: string;
  readonly override?: readonly Override[];
  readonly solverOption?: Record<string, unknown>;
  readonly dryRun?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
  // The rest go through to the pipeline under the same names.
  readonly type?: string;
  readonly size?: number;
  readonly bits?: number;
  readonly types?: readonly string[];
  readonly search?: string;
  readonly damage?: string;
  readonly store?: string;
  readonly embeddingType?: string;
  readonly solver?: string;
  readonly calibration?: string;
  readonly tokens?: number;
  readonly context?: number;
  readonly fallback?: string;
  readonly prefix?: 'original' | 'compressed';
  readonly target?: 'symmetric' | 'asymmetric';
  readonly seed?: number;
  readonly threads?: number;
  readonly tokenizer?: string;
  readonly cacheFolder?: string;
}

export function compressCommand(program: Command, session: Session): void {
  const command = program
    .command('compress')
    .summary('make a smaller model file')
    .description(
      'Reads a trained model, calibrates it on a text, rounds every linear layer so that its ' +
        'outputs change least, writes a GGUF, opens it in llama.cpp and measures what it cost.',
    )
    .argument('<model>', 'Hugging Face directory or hub id, .gguf, or llama2.c .bin')
    .option('-o, --output <path>', 'file (.gguf) or, with --format safetensors, folder to write')
    .option('--format <format>', "gguf, or safetensors for a folder in tersor's own layout")
    .option('--size <size>', 'the best model of at most this file size, such as 14MB', byteSize)
    .option('--bits <n>', 'the same by bits per weight on average, embedding included', bitsPerWeight)
    .option('--type <type>', 'type of the linear layers (default: about 4.5 bits)', typeName)
    .option('--embedding-type <type>', 'type of embedding and output head (default: q6_k or q8_0)', typeName)
    .option('--override <regex=type>', 'type of the tensors whose name matches; repeatable', override)
    .option('--types <list>', 'types that --size and --bits may choose from', list)
    .option('--search <name>', 'how they choose (default: knapsack); see tersor methods')
    .option('--damage <measure>', 'how they judge what a type costs; see tersor methods')
    .option('--fallback <type>', 'type for rows that the block size does not divide', typeName)
    .option('--solver <name>', 'how codes are chosen (default: gptq); see tersor methods')
    .option('--solver-option <key=value>', 'option of the solver; repeatable', setting)
    .option('--calibration <file>', 'text like the one that the model will see (default: built in)')
    .option('--tokens <n>', 'calibration tokens at most', positiveInteger)
    .option('--context <n>', 'length of calibration sequences', positiveInteger)
    .option('--prefix <which>', 'blocks before: original or compressed (default)', prefix)
    .option(
      '--target <which>',
      'behind compressed blocks: asymmetric (the original outputs) or symmetric',
      target,
    )
    .option('--seed <n>', 'seed of the choice of calibration sequences', wholeNumber)
    .option('--threads <n>', 'threads; they never change the result (default: all)', positiveInteger)
    .option('--tokenizer <folder>', 'where the tokenizer is, if not beside the model')
    .option('--store <folder>', 'where solved layers are kept for later searches')
    .option('--cache-folder <folder>', 'where models from the hub are kept')
    .option('--dry-run', 'only say what would be written, and its exact size')
    .option('-v, --verbose', 'a row for every tensor')
    .option('--json', 'print one JSON document')
    .action((model: string, flags: Flags) =>
      withTerminal(session, flags, (terminal) => run(model, flags, terminal)),
    );
  examples(command, [
    ['tersor compress ./model -o model.gguf', 'about 4.5 bits per weight'],
    [
      'tersor compress ./model -o model.gguf --type q3_k --calibration my-text.txt',
      'smaller, calibrated on your own text',
    ],
    [
      "tersor compress ./model --type q4_k --override 'ffn_down=q6_k' --dry-run",
      'the exact size of a plan, before any work',
    ],
  ]);
}

const bitsPerWeight = numberBetween(0.5, 32);
const prefix = choice('--prefix', ['original', 'compressed']);
const target = choice('--target', ['symmetric', 'asymmetric']);

async function run(model: string, flags: Flags, terminal: Terminal): Promise<void> {
  const {
    output,
    override: overrides,
    solverOption: solverOptions,
    dryRun,
    verbose,
    json: _,
    ...same
  } = flags;
  if (!output && !dryRun) {
    throw new TersorError('there is no output file', {
      remedy: 'add -o FILE.gguf, or --dry-run to only plan',
    });
  }
  const options: CompressOptions = {
    model,
    output: output ?? 'model.gguf',
    ...same,
    ...(overrides ? { overrides } : {}),
    ...(solverOptions ? { solverOptions } : {}),
  };
  if (dryRun) {
    const planned = await plan(options, terminal.hooks);
    terminal.json(planned);
    terminal.print(describePlan(planned, verbose));
    return;
  }
  const result = await compress(options, terminal.hooks);
  terminal.json(result);
  terminal.print(describeResult(result, terminal.style, verbose));
}

export function describePlan(planned: Plan, all = false): string {
  const { tensors, problems, bytes, originalBytes, bitsPerWeight } = planned;
  const unsolved = new Set(problems.map(({ name }) => name));
  const rows = tensors.map(({ name, type, requestedType, bytes: size, reason }) => ({
    name,
    type: unsolved.has(name) ? '—' : type,
    ...(unsolved.has(name) ? {} : { bytes: size }),
    ...(reason
      ? { note: unsolved.has(name) ? `${requestedType} impossible` : `${requestedType} wanted` }
      : {}),
  }));
  const reasons = new Map<string, string[]>();
  for (const { name, reason } of tensors) {
    if (reason) reasons.set(reason, [...(reasons.get(reason) ?? []), name]);
  }
  const explained = [...reasons].map(([reason, names]) =>
    wrap(`${reason}: ${collapseNames(names).join(', ')}`, undefined, '  '),
  );
  const size = fields([
    ['model', `${planned.model} (${planned.architecture})`],
    ['original', formatBytes(originalBytes)],
    ...(problems.length === 0
      ? ([
          ['output', `${formatCount(bytes)} bytes, ${significant(bitsPerWeight, 3)} bits per weight`],
        ] as const)
      : []),
  ]);
  const ending =
    problems.length === 0
      ? []
      : [wrap(`${problems.length} tensors need another type: add --fallback TYPE (such as q8_0 or f16).`)];
  return [
    tensorTable(rows, { all }),
    ...(explained.length ? [explained.join('\n')] : []),
    size,
    ...ending,
  ].join('\n\n');
}

export function describeResult(result: CompressResult, style: Terminal['style'], all = false): string {
  const { verified, heldOut, seconds, peakMemoryBytes } = result;
  const measures = fields([
    ['time', `${formatDuration(seconds)}, at most ${formatBytes(peakMemoryBytes)} of memory`],
    verified
      ? [
          'verified',
          `${verified.runtime} opens the file; on ${formatCount(verified.tokens)} tokens its predictions differ from ` +
            `ours by a divergence of ${significant(verified.meanDivergence, 2)} (bound ${significant(verified.bound, 2)})`,
        ]
      : ['verified', 'read back by tersor, the only runtime of its own layout'],
    ...(heldOut
      ? ([
          ['held out', `${formatCount(heldOut.tokens)} tokens of the calibration text, not calibrated on`],
        ] as const)
      : []),
  ]);
  return [tensorTable(result.tensors, { all }), measures, style.bold(wrap(verdict(result)))].join('\n\n');
}

/** The whole run in one honest sentence. */
export function verdict(result: CompressResult): string {
  const { output, bytes, originalBytes, bitsPerWeight, heldOut, verified } = result;
  const size = `${output}: ${formatBytes(bytes)}, ${formatPercent(bytes / originalBytes)} of ${formatBytes(originalBytes)} (${significant(bitsPerWeight, 3)} bits per weight)`;
  const cost: string[] = [];
  if (heldOut?.divergence) {
    const { mean, standardError } = heldOut.divergence;
    cost.push(`divergence ${significant(mean, 3)} ± ${significant(standardError, 2)}`);
  }
  if (heldOut?.reference) {
    cost.push(
      `perplexity ${significant(heldOut.reference.perplexity, 4)} → ${significant(heldOut.perplexity, 4)}`,
    );
  }
  if (heldOut?.sameTop !== undefined) cost.push(`same top token ${formatPercent(heldOut.sameTop)}`);
  return [size, ...cost, ...(verified ? [`verified in ${verified.runtime}`] : [])].join(', ');
}
