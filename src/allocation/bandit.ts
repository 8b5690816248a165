import type { Random } from '../random.js';

/** What was learnt about every arm: plain JSON, so that a search can be stored and gone on with. */
export interface Bandit {
  /** How often each arm was pulled; fractions when old pulls are discounted. */
  readonly pulls: readonly number[];
  /** Sums of each arm's rewards, each in [0, 1], and of their squares. */
  readonly rewards: readonly number[];
  readonly squares: readonly number[];
}

/**
 * `thompson`: every arm with about the probability that it is the best: a mean is drawn for each, normal around its
 * estimate (Thompson, 1933).
 * `ucb`: the arm of the highest upper confidence bound by the variance seen (Audibert, Munos and Szepesvári, 2009,
 * "Exploration-exploitation tradeoff using variance estimates in multi-armed bandits").
 */
export const banditPolicies = ['thompson', 'ucb'] as const;
export type BanditPolicy = (typeof banditPolicies)[number];

/** A bandit that knows nothing of its arms yet. */
export function createBandit(arms: number): Bandit {
  const zeros = Array<number>(arms).fill(0);
  return { pulls: zeros, rewards: zeros, squares: zeros };
}

/**
 * Which arm to pull next. Balans (Cai et al., 2024, arXiv:2412.14382) chooses the neighbourhoods of a large
 * neighbourhood search so; Khodak et al. (2023, arXiv:2310.02246) the relaxation ω of a linear solver.
 */
export function choose(bandit: Bandit, policy: BanditPolicy, random: Random): number {
  const all = bandit.pulls.reduce((sum, pulls) => sum + pulls, 0);
  const values = bandit.pulls.map((pulls, arm) => {
    // Every arm is taken to have brought 0 and 1 once before, which makes an untried one uncertain, not unknown.
    const count = pulls + 2;
    const mean = ((bandit.rewards[arm] ?? 0) + 1) / count;
    const variance = Math.max(0, ((bandit.squares[arm] ?? 0) + 1) / count - mean ** 2);
    const deviation = Math.sqrt(variance / count);
    return mean + deviation * (policy === 'ucb' ? Math.sqrt(2 * Math.log(1 + all)) : random.normal());
  });
  return values.indexOf(Math.max(...values));
}

/**
 * The bandit after a pull.
 *
 * @param reward in [0, 1]; what is outside is clipped
 * @param discount what all earlier pulls count for, 1 when arms do not change with time (Garivier and Moulines, 2008)
 */
export function learn(bandit: Bandit, arm: number, reward: number, discount = 1): Bandit {
  const add = (values: readonly number[], value: number) =>
    values.map((old, index) => discount * old + (index === arm ? value : 0));
  const clipped = Math.min(1, Math.max(0, reward));
  return {
    pulls: add(bandit.pulls, 1),
    rewards: add(bandit.rewards, clipped),
    squares: add(bandit.squares, clipped ** 2),
  };
}
