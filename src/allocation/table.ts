import { TersorError } from '../errors.js';

/** One way to store a tensor. */
export interface Level {
  /** Name of the number format or recipe. */
  readonly type: string;
  /** What the file grows by: a whole number of bytes, ≥ 0. */
  readonly bytes: number;
  /** What it costs in quality: any finite number in the units of its neighbours, additive over tensors. */
  readonly loss: number;
}

/** A tensor and the ways to store it, at least one. */
export interface Choice {
  readonly name: string;
  readonly levels: readonly Level[];
}

/** One level for every tensor. */
export interface Allocation {
  /** Index into the levels of each choice, in the order of the choices. */
  readonly levels: readonly number[];
  readonly bytes: number;
  readonly loss: number;
}

/** A level with its index in the table that was handed in. */
export interface IndexedLevel {
  readonly index: number;
  readonly bytes: number;
  readonly loss: number;
}

/**
 * The level of this index.
 *
 * @throws TersorError when the choice has no such level
 */
export function levelOf(choice: Choice, index: number): Level {
  const level = choice.levels[index];
  if (level) return level;
  throw new TersorError(`there is no level ${index} among ${choice.levels.length}`, { tensor: choice.name });
}

/** @throws TersorError when a tensor has no levels, or a level has no size or loss that can be summed */
export function checkChoices(choices: readonly Choice[]): void {
  for (const { name, levels } of choices) {
    if (levels.length === 0) throw new TersorError('there is no way to store it', { tensor: name });
    for (const { type, bytes, loss } of levels) {
      if (!Number.isSafeInteger(bytes) || bytes < 0) {
        throw new TersorError(`type ${type} has a size of ${bytes} bytes`, { tensor: name });
      }
      if (!Number.isFinite(loss)) {
        throw new TersorError(`type ${type} has a loss of ${loss}`, {
          tensor: name,
          remedy: 'leave out what could not be measured',
        });
      }
    }
  }
}

/** Sums over the levels chosen. */
export function total(choices: readonly Choice[], levels: readonly number[]): Allocation {
  let [bytes, loss] = [0, 0];
  for (const [tensor, choice] of choices.entries()) {
    const level = levelOf(choice, levels[tensor] ?? -1);
    bytes += level.bytes;
    loss += level.loss;
  }
  return { levels: [...levels], bytes, loss };
}

/**
 * The levels that are worth their bytes: sorted by size, each larger one with less loss than all before. Of
 * equals the first in the table stays.
 */
export function worthwhile(choice: Choice): readonly IndexedLevel[] {
  const sorted = choice.levels
    .map(({ bytes, loss }, index) => ({ index, bytes, loss }))
    .sort((a, b) => a.bytes - b.bytes || a.loss - b.loss || a.index - b.index);
  const kept: IndexedLevel[] = [];
  for (const level of sorted) if (level.loss < (kept.at(-1)?.loss ?? Infinity)) kept.push(level);
  return kept;
}

/** Every tensor at its smallest level, of equal sizes at the one of least loss. */
export function smallest(choices: readonly Choice[]): Allocation {
  return total(
    choices,
    choices.map((choice) => worthwhile(choice)[0]?.index ?? 0),
  );
}

/**
 * Checks the table and that the budget can be met.
 *
 * @throws TersorError that names the smallest size within reach
 */
export function checkBudget(choices: readonly Choice[], budget: number): void {
  checkChoices(choices);
  if (Number.isNaN(budget)) throw new TersorError('the budget is not a number');
  const { bytes } = smallest(choices);
  if (bytes > budget) {
    throw new TersorError(`a budget of ${budget} bytes cannot be met: the smallest size is ${bytes} bytes`, {
      remedy: `ask for ${bytes} bytes or more, or allow smaller types`,
    });
  }
}
