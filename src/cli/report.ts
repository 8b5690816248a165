import type { Command } from 'commander';
import { defaultEvaluationTokens } from '../pipeline/options.js';
import { report } from '../pipeline/report.js';
import type { Findings } from '../report/findings.js';
import { checkOutput } from '../writer/output.js';
import { examples, type Session, withTerminal } from './command.js';
import { formatCosine } from './embeddings.js';
import { formatBytes, formatCount, formatDivergence, formatPercent, wrap } from './format.js';
import { addOptions } from './options.js';
import { forceOption, mayOverwrite } from './overwrite.js';

interface Flags {
  readonly output?: string;
  readonly against?: string;
  readonly text?: string;
  readonly tokens?: number;
  readonly prompt?: string;
  readonly store?: string;
  readonly tokenizer?: string;
  readonly cacheFolder?: string;
  readonly threads?: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function reportCommand(program: Command, session: Session): void {
  const command = program
    .command('report')
    .summary('one HTML page on a compressed model')
    .description(
      'Measures a compressed model and writes one HTML file that needs nothing else: size and quality before and ' +
        'after, bits and errors layer by layer, what other sizes would have cost, how far predictions moved, the ' +
        'same text from both models, and how to repeat it. It works on files that others made, too.',
    )
    .argument('<model>', 'the compressed model: .gguf, or a folder')
    .option('-o, --output <file>', 'HTML file to write (default: beside the model, .report.html)')
    .option('--against <model>', 'the original model')
    .option('--text <file>', 'text to measure on, not the one used for calibration')
    .option('--prompt <words>', 'what both models continue (default: words of the text)');
  forceOption(command);
  addOptions(command, ['tokens', 'store', 'tokenizer', 'cacheFolder', 'threads'], {
    tokens: `tokens of text at most (default: ${formatCount(defaultEvaluationTokens)})`,
    store: 'where the search for a size kept what it saw',
  })
    .option('--json', 'print the findings as one JSON document; write HTML only with -o')
    .action((model: string, { json, output, force, ...flags }: Flags) =>
      withTerminal(session, { ...(json ? { json } : {}) }, async (terminal) => {
        const page = output ?? (json ? undefined : defaultReport(model));
        if (page !== undefined) await checkOutput(page);
        await mayOverwrite([page], force, session);
        const findings = await report(
          { model, ...flags, ...(page === undefined ? {} : { output: page }) },
          terminal.hooks,
        );
        terminal.json(findings);
        if (page !== undefined) terminal.print(describeReport(page, findings));
      }),
    );
  examples(command, [
    ['tersor report model.gguf --against ./model --text held-out.txt', 'writes model.report.html'],
    ['tersor compress ./model -o model.gguf --report report.html', 'the report of a run, right after it'],
  ]);
}

/** model.gguf → model.report.html */
const defaultReport = (model: string) => `${model.replace(/[\\/]+$/, '').replace(/\.gguf$/, '')}.report.html`;

export function describeReport(page: string, { bytes, original, quality, embeddings }: Findings): string {
  const figures = [
    original
      ? `${formatBytes(bytes)}, ${formatPercent(bytes / original.bytes)} of the original`
      : formatBytes(bytes),
    ...(quality?.divergence ? [`divergence ${formatDivergence(quality.divergence.mean)}`] : []),
    ...(embeddings ? [`mean cosine ${formatCosine(embeddings.cosine.mean)}`] : []),
    ...(quality?.sameTop === undefined ? [] : [`same top token ${formatPercent(quality.sameTop)}`]),
    ...(quality ? [`on ${formatCount(quality.tokens)} tokens of ${quality.text}`] : []),
    ...(embeddings ? [`on ${formatCount(embeddings.texts)} sentences of ${embeddings.text}`] : []),
  ];
  return wrap(`${page}: ${figures.join(', ')}`);
}
