import { readFileSync } from 'node:fs';
import { correctDamages, type Measured } from '../src/allocation/correction.js';
import { knapsack } from '../src/allocation/knapsack.js';
import { type Choice, total } from '../src/allocation/table.js';
import { createRandom } from '../src/random.js';

const choices: Choice[] = JSON.parse(readFileSync('/tmp/choices.json', 'utf8'));
const labelsOf = (name: string) => {
  const [b] = /\.\d+\./.exec(name) ?? [];
  return [b ?? name];
};
const labels = choices.map(({ name }) => labelsOf(name));
const elements = 4198656 + 0;
for (const bits of [2.6, 3.0, 3.5, 4.5])
  for (const boldness of [0.25, 0.5, 0.75, 1]) {
    const budget = Math.floor((bits * 4.54e6) / 8);
    let all = 0,
      gainStart = 0,
      e = 0,
      opt = 0;
    const seeds = 10;
    for (let seed = 0; seed < seeds; seed++) {
      const r = createRandom(seed + 100);
      const real = choices.map((c) => {
        const m = /\.(\d)\./.exec(c.name);
        const depth = m ? Number(m[1]) / 3 - 0.5 : 0;
        const f = Math.exp(0.3 * depth + 0.15 * r.normal());
        return { ...c, levels: c.levels.map((l) => ({ ...l, damage: 0.7 * f * l.damage })) };
      });
      const start = knapsack(choices, budget);
      const cost = (l: readonly number[]) => total(real, l).damage;
      const measured: Measured[] = [];
      const measure = (l: readonly number[]) => {
        if (!measured.some((m) => m.levels.join() === l.join()))
          measured.push({ levels: l, value: cost(l) * (1 + 0.009 * r.normal()) });
      };
      measure(start.levels);
      for (let i = 0; i < 12; i++) {
        measure(knapsack(correctDamages(choices, measured, { labels, boldness }, r), budget).levels);
      }
      const expected = knapsack(correctDamages(choices, measured, { labels }), budget).levels;
      const finals = [
        start.levels,
        expected,
        ...measured
          .toSorted((a, b) => a.value - b.value)
          .slice(0, 2)
          .map((m) => m.levels),
      ];
      const s = cost(start.levels);
      const judged = finals
        .map((l) => ({ l, v: cost(l) * (1 + 0.006 * r.normal()) }))
        .sort((a, b) => a.v - b.v)[0]!;
      gainStart += cost(judged.l) / s - 1;
      e += cost(expected) / s - 1;
      opt += cost(knapsack(real, budget).levels) / s - 1;
      all += measured.length;
    }
    console.log(
      bits,
      boldness,
      'judged',
      ((100 * gainStart) / seeds).toFixed(2),
      'expected',
      ((100 * e) / seeds).toFixed(2),
      'optimum',
      ((100 * opt) / seeds).toFixed(2),
      all / seeds,
    );
  }
