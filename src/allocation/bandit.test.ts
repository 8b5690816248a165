import { describe, expect, test } from 'vitest';
import { createRandom } from '../random.js';
import { banditPolicies, choose, createBandit, learn } from './bandit.js';

describe.each(banditPolicies)('%s', (policy) => {
  test('loses at most 5 % of what the best arm alone brings', () => {
    const problems = [
      [0.9, 0.8, 0.5, 0.2],
      [0.3, 0.5, 0.65, 0.4, 0.1, 0.2],
      [0.7, 0.7, 0.69],
      [0.95, 0.05],
    ];
    for (const [problem, means] of problems.entries()) {
      for (let seed = 0; seed < 5; seed++) {
        const random = createRandom(100 * problem + seed);
        const pulls = 3000;
        let bandit = createBandit(means.length);
        let expected = 0;
        for (let pull = 0; pull < pulls; pull++) {
          const arm = choose(bandit, policy, random);
          expected += means[arm] ?? 0;
          bandit = learn(bandit, arm, random.next() < (means[arm] ?? 0) ? 1 : 0);
        }
        const share = expected / (pulls * Math.max(...means));
        expect(share, `problem ${problem}, seed ${seed}`).toBeGreaterThan(0.95);
      }
    }
  });

  test('chooses a relaxation no more than 5 % slower than the best fixed one', () => {
    // Sweeps of successive over-relaxation to a tolerance, which differ from system to system.
    const omegas = [1, 1.3, 1.6, 1.8, 1.95];
    const random = createRandom(4);
    let bandit = createBandit(omegas.length);
    const fixed = omegas.map(() => 0);
    let spent = 0;
    for (let system = 0; system < 3000; system++) {
      const best = 1.5 + 0.2 * random.next();
      const costs = omegas.map((omega) => 20 + 400 * (omega - best) ** 2);
      const arm = choose(bandit, policy, random);
      spent += costs[arm] ?? 0;
      for (const [index, cost] of costs.entries()) fixed[index] = (fixed[index] ?? 0) + cost;
      bandit = learn(bandit, arm, 1 - (costs[arm] ?? 0) / 200);
    }
    expect(spent).toBeLessThan(1.05 * Math.min(...fixed));
  });

  test('with a discount it follows arms that change places', () => {
    const random = createRandom(11);
    let bandit = createBandit(2);
    let expected = 0;
    for (let pull = 0; pull < 2000; pull++) {
      const means = pull < 1000 ? [0.9, 0.3] : [0.1, 0.8];
      const arm = choose(bandit, policy, random);
      if (pull >= 1200) expected += means[arm] ?? 0;
      bandit = learn(bandit, arm, random.next() < (means[arm] ?? 0) ? 1 : 0, 0.98);
    }
    expect(expected / (800 * 0.8)).toBeGreaterThan(0.85);
  });
});

test('rewards outside [0, 1] are clipped', () => {
  const bandit = learn(learn(createBandit(2), 0, 7), 1, -3);
  expect(bandit).toEqual({ pulls: [1, 1], rewards: [1, 0], squares: [1, 0] });
});
