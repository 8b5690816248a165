import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { compress } from '../pipeline/compress.js';
import type { ProgressEvent } from '../pipeline/context/progress.js';
import { type Evaluation, evaluate } from '../pipeline/evaluate.js';
import type { CompressResult } from '../pipeline/measure/result.js';
import type { CompressOptions } from '../pipeline/options.js';
import { openLlama } from '../runtime/llama.js';
import { positiveInteger } from './arguments.js';
import { examples, type Session, withTerminal } from './command.js';
import { formatBytes, formatDuration, formatPercent, significant, table, wrap } from './format.js';
import type { Terminal } from './terminal.js';

const model = fileURLToPath(new URL('../../models/tales', import.meta.url));
const type = 'q3_k';
const prompt = 'Once upon a time, there was a little girl named Lily. One day, she';
const storyTokens = 90;

/** What a quantizer does that looks at nothing but the weights. */
const plainRounding: Partial<CompressOptions> = {
  solver: 'rtn',
  solverOptions: { importance: 'uniform' },
  calibrateOn: 'original',
};

interface Flags {
  readonly keep?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export function demoCommand(program: Command, session: Session): void {
  const command = program
    .command('demo')
    .summary('the whole way on a small model, offline, in under a minute')
    .description(
      'Compresses a small story teller to about 3 bits per weight twice, by plain rounding and by ' +
        'tersor, and shows what each cost and a story from each.',
    )
    .option('--keep <folder>', 'keep the two files in this folder')
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .option('--json', 'print one JSON document')
    .action((flags: Flags) => withTerminal(session, flags, (terminal) => demo(flags, terminal)));
  examples(command, [
    ['tersor demo', 'twice, with the cost of each and a story from each'],
    ['tersor demo --keep demo', 'keeps demo/tales.q3_k.tersor.gguf to look at'],
  ]);
}

/** One way of compressing, and what came of it. */
interface Attempt {
  readonly name: 'rounding' | 'tersor';
  readonly result: CompressResult;
  readonly evaluation: Evaluation;
  readonly story: string;
}

async function demo(flags: Flags, terminal: Terminal): Promise<void> {
  const started = performance.now();
  const folder = flags.keep ?? (await mkdtemp(join(tmpdir(), 'tersor-demo-')));
  try {
    terminal.print(
      terminal.style.bold(`${relative(process.cwd(), model) || model}: linear layers to ${type}, twice`),
    );
    const rounding = await attempt('rounding', plainRounding, folder, flags, terminal);
    const ours = await attempt('tersor', {}, folder, flags, terminal);
    const seconds = (performance.now() - started) / 1000;
    terminal.json({ model, type, prompt, seconds, attempts: [rounding, ours] });
    terminal.print(describeDemo(rounding, ours, terminal.style));
    terminal.print(
      `\nin ${formatDuration(seconds)}; try your own: tersor compress MODEL -o model.gguf --type ${type}`,
    );
  } finally {
    if (!flags.keep) await rm(folder, { recursive: true, force: true });
  }
}

/** Compresses, measures and tells a story. */
async function attempt(
  name: Attempt['name'],
  method: Partial<CompressOptions>,
  folder: string,
  { threads }: Flags,
  { hooks }: Terminal,
): Promise<Attempt> {
  const output = join(folder, `tales.${type}.${name}.gguf`);
  const shared = threads ? { threads } : {};
  const { signal } = hooks;
  const named = {
    ...hooks,
    progress: ({ detail, ...event }: ProgressEvent) =>
      hooks.progress?.(detail ? { ...event, detail: { ...detail, task: `${name}: ${detail.task}` } } : event),
  };
  const calibration = join(model, 'calibration.txt');
  const result = await compress({ model, output, type, ...method, calibration, ...shared }, named);
  const evaluation = await evaluate(
    { model: output, against: model, text: join(model, 'evaluation.txt'), ...shared },
    named,
  );
  const runtime = await openLlama(output, { context: 256, ...shared });
  try {
    const { text: story } = await runtime.generate(prompt, {
      temperature: 0,
      maxTokens: storyTokens,
      ...(signal ? { signal } : {}),
    });
    return { name, result, evaluation, story };
  } finally {
    await runtime.close();
  }
}

const columnWidth = 38;

export function describeDemo(rounding: Attempt, ours: Attempt, style: Terminal['style']): string {
  const row = (name: string, original: string, value: (attempt: Attempt) => string) => [
    name,
    original,
    value(rounding),
    value(ours),
  ];
  const number = (value: number | undefined) => (value === undefined ? '' : significant(value, 3));
  const { reference } = ours.evaluation;
  const figures = table(
    [
      { title: '' },
      { title: 'original', align: 'right' },
      { title: 'rounding', align: 'right' },
      { title: 'tersor', align: 'right' },
    ],
    [
      row('size', reference ? formatBytes(reference.bytes) : '', ({ result }) => formatBytes(result.bytes)),
      row('bits per weight', '16', ({ result }) => significant(result.bitsPerWeight, 3)),
      row('relative layer error', '', ({ result }) => formatPercent(layerError(result))),
      row('perplexity', number(reference?.perplexity), ({ evaluation }) => number(evaluation.perplexity)),
      row('divergence (KLD)', '0', ({ evaluation }) => number(evaluation.divergence?.mean)),
      row('same top token', '100 %', ({ evaluation }) =>
        evaluation.sameTop === undefined ? '' : formatPercent(evaluation.sameTop),
      ),
    ],
  );
  const [before = 0, after = 0] = [rounding, ours].map(({ evaluation }) => evaluation.divergence?.mean);
  const verdict = `At the same size tersor's file is ${formatPercent(Math.abs(1 - after / before))} ${after < before ? 'closer to' : 'farther from'} the original than plain rounding's (divergence ${number(before)} → ${number(after)}).`;
  return [
    '',
    figures,
    '',
    style.bold(wrap(verdict)),
    '',
    sideBySide(['by rounding', told(rounding)], ['by tersor', told(ours)]),
  ].join('\n');
}

/** Mean relative error of the layers that were rounded to the wanted type. */
function layerError({ tensors }: CompressResult): number {
  const layers = tensors.filter((tensor) => tensor.type === type);
  return layers.reduce((sum, { relativeError }) => sum + relativeError, 0) / layers.length;
}

/** The story, with a sign where the model had more to tell. */
function told({ story }: Attempt): string {
  return `${prompt}${story}${/[.!?"]$/.test(story) ? '' : '…'}`;
}

function sideBySide(...columns: readonly (readonly [title: string, text: string])[]): string {
  const wrapped = columns.map(([title, text]) => [
    title,
    '',
    ...text.split('\n').flatMap((paragraph) => wrap(paragraph, columnWidth).split('\n')),
  ]);
  const height = Math.max(...wrapped.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) =>
    wrapped
      .map((lines) => (lines[line] ?? '').padEnd(columnWidth + 3))
      .join('')
      .trimEnd(),
  ).join('\n');
}
