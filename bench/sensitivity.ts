/**
 * How well each measure of sensitivity orders mixes of types by the divergence that they really have: Spearman's correlation
 * of Σ loss with the divergence of the whole model, over random mixes of any size and over mixes of about one size.
 * Then what the same search finds with each of them, a formula evolved on half of the tensors, and whether lowering
 * blocks in the order of a measure beats lowering random ones.
 *
 *   node bench/run.mjs sensitivity [model] [mixes] [store] [without]
 *
 * `without` leaves facts out that take long, such as eigenvalues, and the measures that need them.
 */

import { knapsack } from '../src/allocation/knapsack.js';
import { withContext } from '../src/pipeline/context/context.js';
import { defaultStoreFolder, keyOf } from '../src/pipeline/context/store.js';
import { findTypedFormat } from '../src/pipeline/formats/index.js';
import type { CompressOptions } from '../src/pipeline/options.js';
import { calibrationText } from '../src/pipeline/prepare/calibration-text.js';
import type { SolvedLevel } from '../src/pipeline/search/table/entries.js';
import { mixture } from '../src/pipeline/search/table/mixture.js';
import type { TensorLevels } from '../src/pipeline/search/table/request.js';
import { levelTable } from '../src/pipeline/search/table/table.js';
import { createRandom } from '../src/random.js';
import { evolveProxy, proxyCorrelation } from '../src/sensitivity/evolve-proxy.js';
import { evaluate } from '../src/sensitivity/expression.js';
import { sensitivityMeasures } from '../src/sensitivity/index.js';
import { jointLoss, type SensitivityMeasure } from '../src/sensitivity/measure.js';
import { proxyColumns } from '../src/sensitivity/proxy-columns.js';
import { spearman } from '../src/sensitivity/rank.js';
import { shared, tales } from '../test/fixtures/data.js';

const [, , , name = 'tales', count = '50', store = defaultStoreFolder, without = ''] = process.argv;
const mixes = Number(count);
const models: Readonly<Record<string, string>> = shared?.models ?? { tales: tales.model };
const options: CompressOptions = {
  model: models[name] ?? '',
  output: 'mix.gguf',
  calibration: (shared ?? tales).calibration,
  store,
};
/** Tokens that a mix is measured on, half of them scored. */
const measuredTokens = 2048;
const row = (...cells: readonly (string | number)[]) => console.log(`| ${cells.join(' | ')} |`);

const needs = [...new Set(sensitivityMeasures.flatMap((measure) => measure.needs))].filter(
  (need) => !without.split(',').includes(need),
);
const measures = sensitivityMeasures.filter((measure) => measure.needs.every((need) => needs.includes(need)));

/** Has all facts collected, for all measures. */
const everything: SensitivityMeasure = {
  name: 'everything',
  id: '',
  title: '',
  paper: '',
  status: 'experimental',
  wins: '',
  needs,
  loss: ({ levels }) => levels.map(() => 0),
};

/** A level for every tensor, by index. */
type Mix = readonly number[];

await withContext({ threads: 1 }, {}, async (context) => {
  const model = await context.open(options.model);
  const { architecture } = model;
  const tokenizer = await context.tokenizer(model);
  const calibration = await calibrationText(options, model, tokenizer, {});
  const materials = { options, model, tokenizer, format: findTypedFormat(options), calibration };
  const table = await levelTable(context, materials, options, {}, everything);
  const tensors = table.tensors.map(sorted);
  const bytesOf = (mix: Mix) =>
    tensors.reduce((sum, { levels }, tensor) => sum + (levels[mix[tensor] ?? 0]?.bytes ?? 0), 0);

  const divergence = async (mix: Mix): Promise<number> => {
    const chosen = new Map(
      tensors.flatMap(({ spec, levels }, tensor) => {
        const level = levels[mix[tensor] ?? 0];
        return level ? [[spec, level] as const] : [];
      }),
    );
    const keys = [...chosen.values()].map(({ key }) => key);
    const key = keyOf(`mix ${measuredTokens}`, table.evaluator.fingerprint, ...keys);
    const known = await table.store.get(key);
    if (known) return Number(new TextDecoder().decode(known));
    const { mean } = await table.evaluator.model(
      mixture(context, table.store, model, chosen),
      measuredTokens,
    );
    await table.store.put(key, new TextEncoder().encode(String(mean)));
    return mean;
  };
  const measured = async (list: readonly Mix[]) => {
    const values: number[] = [];
    for (const mix of list) values.push(await divergence(mix));
    return values;
  };
  const sums = (losses: readonly (readonly number[])[], list: readonly Mix[]) =>
    list.map((mix) => losses.reduce((sum, loss, tensor) => sum + (loss[mix[tensor] ?? 0] ?? 0), 0));

  const any = anySize(tensors, mixes);
  const equal = equalSize(tensors, mixes, bytesOf);
  const [anyKld, equalKld] = [await measured(any), await measured(equal)];
  const range = (values: readonly number[]) =>
    `${Math.min(...values).toPrecision(3)} to ${Math.max(...values).toPrecision(3)}`;
  console.log(`${name}: ${mixes} mixes each, divergence ${range(anyKld)} and ${range(equalKld)} nats`);
  row('measure', 'any size', 'equal size');
  row('---', '--:', '--:');
  const compare = (title: string, predict: (list: readonly Mix[]) => number[]) =>
    row(title, spearman(predict(any), anyKld).toFixed(3), spearman(predict(equal), equalKld).toFixed(3));
  const correlations = (title: string, losses: readonly (readonly number[])[]) =>
    compare(title, (list) => sums(losses, list));
  for (const measure of measures) {
    correlations(
      `\`${measure.name}\``,
      tensors.map((tensor) => measure.loss(tensor)),
    );
  }
  compare('`second-order` with interactions', (list) =>
    list.map((mix) => jointLoss(tensors.flatMap(({ levels }, tensor) => levels[mix[tensor] ?? 0] ?? []))),
  );
  correlations(
    'bytes',
    tensors.map(({ levels }) => levels.map(({ bytes }) => -bytes)),
  );

  // What it is all for: the same search with each measure.
  const least = bytesOf(tensors.map(() => 0));
  const budgets = [1.1, 1.25, 1.5].map((factor) => Math.round(factor * least));
  row('measure', ...budgets.map((budget) => `${(budget / 1e6).toFixed(2)} MB`));
  row('---', ...budgets.map(() => '--:'));
  for (const { name: title, loss } of measures) {
    const choices = tensors.map((tensor) => {
      const losses = loss(tensor);
      const levels = tensor.levels.map((level, index) => ({ ...level, loss: losses[index] ?? 0 }));
      return { name: tensor.name, levels };
    });
    const found = await measured(budgets.map((budget) => knapsack(choices, budget).levels));
    row(`\`${title}\``, ...found.map((value) => value.toPrecision(3)));
  }

  // The formula is found on every other tensor and tested on the rest.
  const choice = tensors.filter(({ levels }) => levels.length > 1);
  const [seen, kept] = [0, 1].map((side) => probedRows(choice.filter((_, index) => index % 2 === side)));
  if (seen && kept) {
    const proxy = evolveProxy(seen.columns, seen.losses, { size: 7, parsimony: 0.003 });
    console.log(`\nevolved on ${seen.losses.length} levels of half the tensors: ${proxy.formula}`);
    console.log(JSON.stringify(proxy.expression));
    row('statistic', 'levels it was evolved on', 'levels of the other tensors');
    row('---', '--:', '--:');
    const other = (column: string) => proxyCorrelation({ column }, kept.columns, kept.losses).toFixed(3);
    for (const [column, own] of Object.entries(proxy.columns)) row(column, own.toFixed(3), other(column));
    const fresh = proxyCorrelation(proxy.expression, kept.columns, kept.losses);
    row('evolved', proxy.correlation.toFixed(3), fresh.toFixed(3));
    // A rank correlation leaves the formula's scale open; a power of it follows the divergence.
    const values = evaluate(proxy.expression, seen.columns, seen.losses.length);
    const power = slope(values.map(logOf), seen.losses.map(logOf));
    console.log(`divergence grows as its power ${power.toFixed(2)}; summed over mixes:`);
    correlations(
      'evolved',
      tensors.map((tensor) =>
        tensor.levels.length < 2
          ? [0]
          : evaluate(proxy.expression, proxyColumns(tensor), tensor.levels.length).map(
              (value) => Math.abs(value) ** power,
            ),
      ),
    );
  }

  await orderings();

  /** So many blocks at the smallest type, the others near 4.5 bits, the embedding as it is. */
  async function orderings(): Promise<void> {
    const random = createRandom(3);
    const blocks = Array.from({ length: architecture.layers }, (_, block) => block);
    const lowered = (set: readonly number[]): Mix =>
      tensors.map(({ spec, levels }) => {
        if (spec.block === undefined) return levels.length - 1;
        return set.includes(spec.block) ? 0 : middle(levels, spec.shape);
      });
    const statistic = (block: number, read: (tensor: TensorLevels) => number) => {
      const own = tensors.filter(({ spec, levels }) => spec.block === block && levels.length > 1);
      return own.reduce((sum, tensor) => sum + read(tensor), 0) / own.length;
    };
    const orders = {
      lim: blocks.toSorted((a, b) => turn(a) - turn(b)),
      zd: blocks.toSorted((a, b) => share(b) - share(a)),
    };
    function turn(block: number): number {
      return statistic(block, ({ statistics }) => 1 - (statistics?.cosine ?? 0));
    }
    function share(block: number): number {
      return statistic(block, ({ statistics }) => statistics?.outliers ?? 0);
    }
    console.log(`\nblocks from the least important by lim ${orders.lim}, by zd ${orders.zd}`);
    row('blocks lowered', 'by lim', 'by zd', 'random, mean of 6');
    row('--:', '--:', '--:', '--:');
    for (let lower = 1; lower < architecture.layers; lower++) {
      const drawn: number[] = [];
      for (let i = 0; i < 6; i++) {
        drawn.push(await divergence(lowered(random.shuffle(blocks).slice(0, lower).sort())));
      }
      row(
        lower,
        (await divergence(lowered(orders.lim.slice(0, lower)))).toPrecision(3),
        (await divergence(lowered(orders.zd.slice(0, lower)))).toPrecision(3),
        (drawn.reduce((sum, value) => sum + value, 0) / drawn.length).toPrecision(3),
      );
    }
  }
});

/** Levels by size. */
function sorted(tensor: TensorLevels): TensorLevels {
  return { ...tensor, levels: tensor.levels.toSorted((a, b) => a.bytes - b.bytes) };
}

/** The level nearest 4.5 bits. */
function middle(levels: readonly SolvedLevel[], shape: readonly number[]): number {
  const goal = (4.5 / 8) * shape.reduce((product, size) => product * size, 1);
  const distance = (index: number) => Math.abs((levels[index]?.bytes ?? 0) - goal);
  return [...levels.keys()].reduce((best, index) => (distance(index) < distance(best) ? index : best), 0);
}

/** Levels scattered around a size that goes from the smallest to the largest. */
function anySize(tensors: readonly TensorLevels[], count: number): Mix[] {
  const random = createRandom(1);
  return Array.from({ length: count }, (_, mix) =>
    tensors.map(({ levels: { length } }) => {
      const place = ((mix + 0.5) / count) * (length - 1) + random.normal() * 0.25 * length;
      return Math.min(length - 1, Math.max(0, Math.round(place)));
    }),
  );
}

/** Random levels, moved one by one until the size is within one per cent of all tensors at about 4.5 bits. */
function equalSize(tensors: readonly TensorLevels[], count: number, bytesOf: (mix: Mix) => number): Mix[] {
  const random = createRandom(2);
  const goal = bytesOf(tensors.map(({ spec, levels }) => middle(levels, spec.shape)));
  const distance = (mix: Mix) => Math.abs(bytesOf(mix) - goal);
  const found: Mix[] = [];
  while (found.length < count) {
    let mix: Mix = tensors.map(({ levels }) => random.integer(levels.length));
    // A draw that a large tensor keeps too far off is thrown away.
    for (let step = 0; step < 500 && distance(mix) > 0.01 * goal; step++) {
      const tensor = random.integer(tensors.length);
      const moved = mix.with(tensor, random.integer(tensors[tensor]?.levels.length ?? 1));
      if (distance(moved) < distance(mix)) mix = moved;
    }
    if (distance(mix) <= 0.01 * goal) found.push(mix);
  }
  return found;
}

/** The levels whose divergence was measured, with their cheap facts. */
function probedRows(tensors: readonly TensorLevels[]) {
  const columns: Record<string, number[]> = {};
  const losses: number[] = [];
  for (const tensor of tensors) {
    for (const [index, { divergence }] of tensor.levels.entries()) {
      if (divergence === undefined) continue;
      losses.push(divergence);
      for (const [column, values] of Object.entries(proxyColumns(tensor))) {
        columns[column] = [...(columns[column] ?? []), values[index] ?? 0];
      }
    }
  }
  return { columns, losses };
}

function logOf(value: number): number {
  return Math.log(Math.max(1e-12, Math.abs(value)));
}

/** Least squares of y = a + slope · x. */
function slope(x: readonly number[], y: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(x), mean(y)];
  const xx = x.reduce((sum, value) => sum + (value - mx) ** 2, 0);
  return x.reduce((sum, value, index) => sum + (value - mx) * ((y[index] ?? 0) - my), 0) / xx;
}
