import { rename, rm, writeFile } from 'node:fs/promises';
import { matrixShape } from '../architecture/architecture.js';
import type { Model } from '../architecture/model.js';
import { TersorError } from '../errors.js';
import { embed } from '../evaluation/embedding.js';
import { compareEmbeddings } from '../evaluation/embedding-summary.js';
import { predict } from '../evaluation/predictor.js';
import { score } from '../evaluation/score.js';
import { summarise } from '../evaluation/summary.js';
import {
  type Embeddings,
  type Findings,
  logHistogram,
  type Quality,
  type TensorFinding,
} from '../report/findings.js';
import { refuseInputs } from '../writer/inputs.js';
import { checkOutput, fileError, temporaryPath } from '../writer/output.js';
import { type Context, withContext } from './context/context.js';
import type { Hooks, JobHooks } from './context/hooks.js';
import { reportSteps } from './context/steps.js';
import type { CompressResult } from './measure/result.js';
import { writtenProvenance } from './prepare/provenance.js';
import { writtenRecipe } from './prepare/recipe.js';
import { commandsFor } from './report/commands.js';
import { layerErrors } from './report/layer-errors.js';
import type { ReportOptions } from './report/options.js';
import { findText, type ReportText, writeTexts } from './report/text.js';
import { findFront } from './search/record.js';

/** Divergences below the first edge are noise of the arithmetic. */
const histogram = { from: 1e-6, to: 100, perDecade: 4 };

/**
 * Looks at a compressed model from all sides and writes what it finds as one HTML file. Everything is measured on the
 * model itself, whoever made it; of the run that made it only the front of sizes and costs and the resources it took
 * are shown, where they are known.
 * @throws TersorError for models that do not belong together, before anything is written
 */
export async function report(options: ReportOptions, caller: JobHooks = {}): Promise<Findings> {
  if (options.output !== undefined) {
    await checkOutput(options.output);
    await refuseInputs(options.output, [options.model, options.against, options.text]);
  }
  const findings = await withContext(options, caller, (context, hooks) => {
    context.expect(reportSteps);
    return context.stopwatch.time('measure', () => find(context, options, hooks));
  });
  if (options.output !== undefined) {
    const { renderPage } = await import('../report/page.js'); // echarts takes a moment to load
    await writeWhole(options.output, renderPage(findings));
  }
  return findings;
}

async function find(context: Context, options: ReportOptions, hooks: Hooks): Promise<Findings> {
  const { run } = options;
  const model = await context.open(options.model);
  const original = options.against === undefined ? undefined : await context.open(options.against);
  if (original) requireSameShape(model, original);
  const text = await findText(context, options, original ?? model, hooks);
  const errors =
    original && text
      ? await layerErrors(context, original, model, text.sequences, hooks)
      : new Map<string, number>();
  const predicts = model.architecture.objective === 'prediction';
  const quality = text && predicts ? await measureQuality(context, model, original, text, hooks) : undefined;
  const embeddings =
    text && original && !predicts
      ? await measureEmbeddings(context, model, original, text, hooks)
      : undefined;
  const texts =
    text && predicts ? await writeTexts(context, model, original, text, options, hooks) : undefined;

  const { checkpoint, architecture } = model;
  const tensors = describeTensors(model, errors);
  const provenance = writtenProvenance(checkpoint.metadata);
  const recipe = writtenRecipe(provenance.recipe);
  const front =
    recipe &&
    (await findFront(
      {
        provenance,
        bytes: checkpoint.bytes,
        types: tensors.map(({ name, type }) => [name, type]),
      },
      options.store,
    ));
  return {
    model: checkpoint.path,
    format: checkpoint.format,
    architecture: architecture.modelType,
    parameters: parameters(model),
    bytes: checkpoint.bytes,
    bitsPerWeight: averageBits(model),
    tensors,
    ...(original
      ? {
          original: {
            model: original.checkpoint.path,
            bytes: original.checkpoint.bytes,
            bitsPerWeight: averageBits(original),
          },
        }
      : {}),
    ...(quality ? { quality } : {}),
    ...(embeddings ? { embeddings } : {}),
    ...(front ? { front } : {}),
    ...(texts ? { texts } : {}),
    ...(recipe ? { recipe } : {}),
    provenance,
    ...(run ? { run: resources(run.result) } : {}),
    commands: commandsFor({
      model: options.model,
      format: checkpoint.format,
      ...(options.against === undefined ? {} : { original: options.against }),
      ...(options.text === undefined ? {} : { text: options.text }),
      ...(run ? { calibration: run.options.calibration ?? 'built-in' } : {}),
      ...(recipe ? { recipe } : {}),
    }),
  };
}

/** @throws TersorError when one model cannot be the other's original */
function requireSameShape(model: Model, original: Model): void {
  const shapes = ({ architecture }: Model) =>
    [architecture.gguf, architecture.layers, architecture.hidden, architecture.vocabulary].join(' ');
  if (shapes(model) === shapes(original)) return;
  throw new TersorError(`the two models have different shapes and cannot be compared`, {
    code: 'invalid-option',
    file: model.checkpoint.path,
    remedy: 'compare it with its own original',
  });
}

async function measureQuality(
  context: Context,
  model: Model,
  original: Model | undefined,
  { name, sequences }: ReportText,
  hooks: Hooks,
): Promise<Quality> {
  const settings = { ...context, ...hooks };
  const expected = original && (await predict(original, sequences, settings));
  const actual = await predict(model, sequences, settings);
  try {
    const scores = await score(sequences, actual, expected, settings);
    const divergence = scores.reference?.divergence;
    return {
      text: name,
      ...summarise(scores),
      ...(divergence ? { histogram: logHistogram(divergence, histogram) } : {}),
    };
  } finally {
    await actual.release();
    await expected?.release();
  }
}

async function measureEmbeddings(
  context: Context,
  model: Model,
  original: Model,
  { name, sequences }: ReportText,
  hooks: Hooks,
): Promise<Embeddings> {
  const settings = { ...context, ...hooks };
  const expected = await embed(original, sequences, settings);
  const actual = await embed(model, sequences, settings);
  return { text: name, ...(await compareEmbeddings(actual, expected, context)) };
}

function describeTensors(model: Model, errors: ReadonlyMap<string, number>): TensorFinding[] {
  return model.architecture.tensors.flatMap((spec) => {
    const info = model.checkpoint.tensors.get(model.nameOf(spec));
    if (!info) return [];
    const [rows, cols] = matrixShape(spec);
    const relativeError = errors.get(spec.names.gguf);
    return {
      name: info.name,
      kind: spec.kind,
      role: spec.role.replace(/\.weight$/, ''),
      ...(spec.block === undefined ? {} : { block: spec.block }),
      type: info.type,
      bytes: info.bytes,
      bitsPerWeight: (8 * info.bytes) / (rows * cols),
      ...(relativeError === undefined ? {} : { relativeError }),
    };
  });
}

const parameters = ({ checkpoint }: Model) =>
  [...checkpoint.tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

const averageBits = (model: Model) =>
  (8 * [...model.checkpoint.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0)) / parameters(model);

function resources({ seconds, peakMemoryBytes, verified }: CompressResult) {
  return {
    seconds,
    peakMemoryBytes,
    ...(verified
      ? {
          verified: {
            runtime: verified.runtime,
            meanDivergence: verified.meanDivergence,
            tokens: verified.tokens,
          },
        }
      : {}),
  };
}

/** Writes a file that is either complete or not there. */
async function writeWhole(path: string, content: string): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    await writeFile(temporary, content);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw fileError(path, cause);
  }
}
