import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { fallbacksOf } from '../pipeline/formats/index.js';
import { plan } from '../pipeline/plan.js';
import type { Estimate } from '../pipeline/prepare/estimate.js';
import {
  type Plan,
  type Prediction,
  recipeFile,
  type SearchResult,
  type Tuning,
} from '../pipeline/prepare/plan.js';
import { type FrontPoint, planFront } from '../pipeline/search/front.js';
import { examples, type Session, withTerminal } from './command.js';
import { formatCosine } from './embeddings.js';
import {
  fields,
  formatBytes,
  formatCount,
  formatDivergence,
  formatDuration,
  significant,
  table,
  wrap,
} from './format.js';
import { compressOptions, modelArgument, type PlanFlags, planOptions } from './options.js';
import { forceOption, mayOverwrite } from './overwrite.js';
import { describeBits, embeddingHint } from './parts.js';
import { shortHelp } from './short-help.js';
import { collapseNames, tensorTable } from './tensors.js';
import type { Terminal } from './terminal.js';

interface Flags extends PlanFlags {
  readonly front?: boolean;
  readonly save?: string;
  readonly force?: boolean;
}

export function planCommand(program: Command, session: Session): void {
  const command = program
    .command('plan')
    .summary('what compress would do, to the byte')
    .description(
      'Chooses a type for every tensor and says how large the file would be. With --size, --bits or ' +
        '--max-divergence it solves every tensor at every type to find the best choice, and says what the model ' +
        'would lose; the solved tensors are kept, so that other sizes are planned quickly.',
    )
    .argument('<model>', modelArgument)
    .optionsGroup('What to do:')
    .option('--front', 'list what sizes cost what, over the whole range of types')
    .option('--save <file>', 'write the plan as a recipe for compress --recipe');
  forceOption(command);
  planOptions(command).action((model: string, flags: Flags) =>
    withTerminal(session, flags, async (terminal) => {
      await mayOverwrite([flags.save], flags.force, session);
      await run(model, flags, terminal);
    }),
  );
  shortHelp(command);
  examples(command, [
    ['tersor plan ./model --size 14MB', 'the best choice of types for 14 MB, and what it costs'],
    ['tersor plan ./model --max-divergence 0.05 --save plan.json', 'the smallest file that is as good, kept'],
    ['tersor compress ./model -o model.gguf --recipe plan.json', 'carries it out'],
    ['tersor plan ./model --type q3_k --predict', 'the size of a type for all, and what it costs'],
    [
      'tersor plan ./model --type q3_k --tune 12 --save plan.json',
      'settings of the solver that suit the model',
    ],
    ['tersor plan ./model --front', 'which sizes are worth asking for'],
  ]);
}

async function run(
  model: string,
  { save, front: wantsFront, verbose, ...flags }: Flags,
  terminal: Terminal,
): Promise<void> {
  if (wantsFront) {
    const points = await planFront(
      await compressOptions(model, undefined, flags, terminal.hooks.warn),
      terminal.hooks,
    );
    terminal.json(points);
    terminal.print(describeFront(points));
    return;
  }
  const planned = await plan(
    await compressOptions(model, undefined, flags, terminal.hooks.warn),
    terminal.hooks,
  );
  if (save) await writeFile(save, `${JSON.stringify(recipeFile(planned), null, 2)}\n`);
  terminal.json(planned);
  terminal.print(describePlan(planned, verbose));
}

export function describePlan(planned: Plan & { readonly estimate?: Estimate }, all = false): string {
  const {
    format,
    tensors,
    problems,
    bytes,
    originalBytes,
    bitsPerWeight,
    search,
    prediction,
    tuning,
    estimate,
  } = planned;
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
          ...embeddingHint(bytes, planned.parts),
          ['output', `${formatCount(bytes)} bytes, ${describeBits(bitsPerWeight, planned.parts)}`],
        ] as const)
      : []),
    ...(search ? describeSearch(search) : []),
    ...(prediction ? [describePrediction(prediction)] : []),
    ...(tuning ? [describeTuning(tuning)] : []),
    ...(estimate ? [describeEstimate(estimate)] : []),
  ]);
  const ending =
    problems.length === 0
      ? []
      : [
          wrap(
            `${problems.length} tensors need another type: add --fallback TYPE (such as ${fallbacksOf(format)}).`,
          ),
        ];
  return [
    tensorTable(rows, { all }),
    ...(explained.length ? [explained.join('\n')] : []),
    ...(tuning ? [tuningTable(tuning)] : []),
    size,
    ...ending,
  ].join('\n\n');
}

function describeFront(points: readonly FrontPoint[]): string {
  const cosines = points[0]?.objective === 'embedding';
  return table(
    [
      { title: 'size', align: 'right' },
      { title: 'bits', align: 'right' },
      { title: cosines ? 'cosine' : 'divergence', align: 'point' },
      { title: 'types', flexible: true },
      { title: '' },
    ],
    points.map(({ bytes, bitsPerWeight, divergence, types, knee }) => [
      formatBytes(bytes),
      significant(bitsPerWeight, 3),
      cosines ? formatCosine(1 - divergence) : formatDivergence(divergence, 2),
      Object.entries(types)
        .filter(([type]) => type !== 'f32')
        .sort(([, a], [, b]) => b - a)
        .map(([type, count]) => `${count} ${type}`)
        .join(', '),
      knee ? 'beyond it, bytes gain little' : '',
    ]),
  );
}

export function describeSearch({ note, search, seconds, ...prediction }: SearchResult) {
  return [
    describePrediction(prediction),
    ['search', `${search}, ${formatDuration(seconds)}${note ? `: ${note}` : ''}`],
  ] as const;
}

const describePrediction = ({ objective, divergence, uncertainty }: Prediction) =>
  [
    'expected',
    objective === 'embedding'
      ? `mean cosine of ${formatCosine(1 - divergence)} ± ${significant(uncertainty, 1)} with the original's embeddings`
      : `divergence of ${formatDivergence(divergence, 2)} ± ${formatDivergence(uncertainty, 1)} nats per token from the original`,
  ] as const;

/** What became of tuning the recipe. */
export function describeTuning({ trials, chosen, tokens, seconds }: Tuning) {
  const [first, best] = [trials[0], trials[chosen]];
  const outcome =
    chosen === 0 || !first || !best
      ? 'none is better beyond doubt than the first, which stays'
      : `divergence ${formatDivergence(first.divergence)} → ${formatDivergence(best.divergence)} with number ${chosen + 1}`;
  const count = `${trials.length} recipes, ${formatCount(tokens)} tokens each, ${formatDuration(seconds)}`;
  return ['tuning', `${count}: ${outcome}`] as const;
}

/** Every recipe that was tried, the chosen one marked. */
export function tuningTable({ trials, chosen }: Tuning): string {
  const names = Object.keys(trials[0]?.settings ?? {});
  return table(
    [
      { title: 'recipe', align: 'right' },
      ...names.map((title) => ({ title, align: 'right' as const })),
      { title: 'divergence', align: 'point' },
      { title: '' },
    ],
    trials.map(({ settings, divergence }, index) => [
      String(index + 1),
      ...names.map((name) => settingText(settings[name] ?? '')),
      formatDivergence(divergence),
      index === chosen ? 'taken' : '',
    ]),
  );
}

const settingText = (value: string | number): string =>
  typeof value === 'number' && !Number.isInteger(value) ? significant(value, 2) : String(value);

const describeEstimate = ({ seconds, peakMemoryBytes, mappedBytes }: Estimate) =>
  [
    'will take',
    `about ${formatDuration(seconds)} and ${formatBytes(peakMemoryBytes)} of memory on this machine${mappedBytes > peakMemoryBytes / 10 ? `, ${formatBytes(mappedBytes)} of it the finished file as llama.cpp maps it` : ''}`,
  ] as const;
