import { TersorError } from '../errors.js';
import { createRandom, type Random } from '../random.js';
import { type Bandit, type BanditPolicy, choose, createBandit, learn } from './bandit.js';
import { knapsack } from './knapsack.js';
import { createLadder, type Ladder, mutate, operators } from './mutation.js';
import { type Allocation, type Choice, checkBudget, total } from './table.js';

export interface EvoPressOptions {
  readonly generations: number;
  /** Mutants per generation (λ). */
  readonly offspring: number;
  /** Tokens that each selection measures on, growing; the first may be 0, where fitness is a prediction. */
  readonly tokens: readonly number[];
  /** Mutants that each selection but the last leaves over, falling; the last leaves one. */
  readonly survivors: readonly number[];
  /** How mutations are chosen: by a bandit, from what has succeeded so far, or all alike. */
  readonly operators: BanditPolicy | 'uniform';
  readonly seed: number;
}

export const evoPressDefaults: EvoPressOptions = {
  generations: 50,
  offspring: 16,
  tokens: [512, 2048, 8192],
  survivors: [4, 2],
  operators: 'thompson',
  seed: 0,
};

/** Everything that the search needs to go on: plain JSON. */
export interface EvoPressState {
  /** Generations finished. */
  readonly generation: number;
  /** Levels of the best allocation so far, and its fitness on the most tokens. */
  readonly levels: readonly number[];
  readonly fitness: number;
  readonly startFitness: number;
  readonly evaluations: number;
  /** Tokens measured on, all evaluations together. */
  readonly tokens: number;
  readonly bandit: Bandit;
  readonly random: number;
}

export interface EvoPressSolution extends Allocation {
  /** On the most tokens; never above the start's. */
  readonly fitness: number;
  readonly startFitness: number;
  readonly evaluations: number;
}

export interface EvoPressHooks {
  /** Levels to start from; default: the exact knapsack's. */
  readonly start?: readonly number[];
  /** Goes on from what `onState` was given, exactly as if there had been no break. */
  readonly state?: EvoPressState;
  /** An allocation from elsewhere that competes with the mutants of a generation. */
  readonly immigrant?: (generation: number) => Allocation;
  /** Called after every generation. */
  readonly onState?: (state: EvoPressState) => void | Promise<void>;
}

/**
 * Quality of an allocation, measured on about so many tokens: less is better, not a number counts as worst. The same
 * allocation on as many tokens must give the same number.
 */
export type Fitness = (allocation: Allocation, tokens: number) => Promise<number>;

/**
 * EvoPress (Sieberling et al., 2024, arXiv:2410.14649, algorithm 1): evolves one allocation by level switches that
 * keep the size. A generation's mutants are measured on few tokens, the best of them on more, and the one that is
 * left competes with its parent on the most. Fitness is the measured quality of the whole model, so that interactions
 * between tensors count, which a sum of losses does not see.
 *
 * Measures at most 1 + generations × (offspring + Σ survivors) times, and once more a generation with immigrants.
 *
 * @throws TersorError when the budget cannot be met, the options contradict each other, the state belongs to
 *   another table, or the start has no finite fitness
 */
export async function evoPress(
  choices: readonly Choice[],
  budget: number,
  fitness: Fitness,
  options: Partial<EvoPressOptions> = {},
  hooks: EvoPressHooks = {},
): Promise<EvoPressSolution> {
  const settings = { ...evoPressDefaults, ...options };
  checkSettings(settings);
  checkBudget(choices, budget);
  const ladder = createLadder(choices);
  const most = settings.tokens.at(-1) ?? 0;
  let state = hooks.state;
  if (!state) {
    const start = total(choices, hooks.start ?? knapsack(choices, budget).levels);
    checkFits(start, budget);
    const value = await fitness(start, most);
    if (!Number.isFinite(value))
      throw new TersorError(`the allocation to start from has a fitness of ${value}`);
    state = {
      generation: 0,
      levels: start.levels,
      fitness: value,
      startFitness: value,
      evaluations: 1,
      tokens: most,
      bandit: createBandit(operators.length),
      random: settings.seed,
    };
  }
  checkState(choices, budget, state);
  const search = { choices, ladder, budget, fitness, settings };
  while (state.generation < settings.generations) {
    state = await generation(search, state, hooks.immigrant);
    await hooks.onState?.(state);
  }
  const { levels, startFitness, evaluations } = state;
  return { ...total(choices, levels), fitness: state.fitness, startFitness, evaluations };
}

interface Mutant {
  readonly levels: readonly number[];
  /** Absent where it came from elsewhere. */
  readonly operator?: number;
}

interface Search {
  readonly choices: readonly Choice[];
  readonly ladder: Ladder;
  readonly budget: number;
  readonly fitness: Fitness;
  readonly settings: EvoPressOptions;
}

async function generation(
  { choices, ladder, budget, fitness, settings }: Search,
  state: EvoPressState,
  immigrant: EvoPressHooks['immigrant'],
): Promise<EvoPressState> {
  const random = createRandom(state.random);
  let { evaluations, tokens } = state;
  let mutants = breed(ladder, budget, settings, state, random);
  const stranger = immigrant?.(state.generation);
  if (stranger && stranger.bytes <= budget && isNew(stranger, [state, ...mutants])) {
    mutants = [...mutants, { levels: stranger.levels }];
  }
  let bandit = state.bandit;
  // An operator earns half for a mutant that passes the first selection, and all for one that replaces its parent.
  const earn = ({ operator }: Mutant, reward: number) => {
    if (operator !== undefined) bandit = learn(bandit, operator, reward, 0.99);
  };
  let value = Infinity;
  for (const [selection, sample] of settings.tokens.entries()) {
    const values: number[] = [];
    for (const { levels } of mutants) {
      const measured = await fitness(total(choices, levels), sample);
      values.push(Number.isFinite(measured) ? measured : Infinity);
      evaluations++;
      tokens += sample;
    }
    const order = [...mutants.keys()].sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0) || a - b);
    const keep = settings.survivors[selection] ?? 1;
    const ranked = order.flatMap((index) => mutants.slice(index, index + 1));
    for (const loser of ranked.slice(keep)) earn(loser, selection === 0 ? 0 : 0.5);
    mutants = ranked.slice(0, keep);
    value = values[order[0] ?? 0] ?? Infinity;
  }
  const [winner] = mutants;
  const better = winner !== undefined && value < state.fitness;
  if (winner) earn(winner, better ? 1 : 0.5);
  return {
    ...state,
    generation: state.generation + 1,
    ...(better && winner ? { levels: winner.levels, fitness: value } : {}),
    evaluations,
    tokens,
    bandit,
    random: random.state(),
  };
}

const isNew = ({ levels }: Mutant, others: readonly Mutant[]): boolean =>
  others.every((other) => other.levels.join() !== levels.join());

/** Mutants of the parent that differ from it and from each other; fewer when there are not as many. */
function breed(
  ladder: Ladder,
  budget: number,
  settings: EvoPressOptions,
  state: EvoPressState,
  random: Random,
): Mutant[] {
  const parent = ladder.ranks(state.levels);
  const seen = new Set([parent.join()]);
  const mutants: Mutant[] = [];
  for (let attempt = 0; attempt < 4 * settings.offspring && mutants.length < settings.offspring; attempt++) {
    const arm =
      settings.operators === 'uniform'
        ? random.integer(operators.length)
        : choose(state.bandit, settings.operators, random);
    const operator = operators[arm] ?? { switches: 1, reach: 'next' };
    const ranks = mutate(ladder, parent, budget, operator, random);
    if (seen.has(ranks.join())) continue;
    seen.add(ranks.join());
    mutants.push({ levels: ladder.levels(ranks), operator: arm });
  }
  return mutants;
}

function checkSettings({ tokens, survivors, offspring }: EvoPressOptions): void {
  const growing = tokens.every((count, index) => count > (tokens[index - 1] ?? -1));
  if (tokens.length === 0 || !growing) {
    throw new TersorError(`selections on ${tokens.join(', ')} tokens do not grow`);
  }
  const falling = survivors.every(
    (count, index) => count >= 1 && count <= (survivors[index - 1] ?? offspring),
  );
  if (survivors.length !== tokens.length - 1 || !falling) {
    throw new TersorError(
      `${tokens.length} selections among ${offspring} cannot leave ${survivors.join(', ') || 'nothing'}`,
      { remedy: 'give one number of survivors for every selection but the last, falling' },
    );
  }
}

function checkState(choices: readonly Choice[], budget: number, state: EvoPressState): void {
  const fits =
    state.levels.length === choices.length &&
    choices.every(({ levels }, tensor) => levels[state.levels[tensor] ?? -1] !== undefined) &&
    state.bandit.pulls.length === operators.length;
  if (!fits) {
    throw new TersorError('the search to go on with belongs to another table', { remedy: 'start it anew' });
  }
  checkFits(total(choices, state.levels), budget);
}

function checkFits({ bytes }: Allocation, budget: number): void {
  if (bytes <= budget) return;
  throw new TersorError(`the allocation to start from has ${bytes} bytes, more than the budget of ${budget}`);
}
