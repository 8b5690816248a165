import { readdirSync, readFileSync } from 'node:fs';
import { correctDamages } from '../src/allocation/correction.js';
import { type Choice, total } from '../src/allocation/table.js';

const choices: Choice[] = JSON.parse(readFileSync('/tmp/choices.json', 'utf8'));
const labelsOf = (name: string) => {
  const [b] = /\.\d+\./.exec(name) ?? [];
  return b ? [b, name.replace(b, '.')] : [];
};
const labels = choices.map(({ name }) => labelsOf(name));
for (const f of readdirSync('/tmp').filter((n) => n.startsWith('mem-'))) {
  const { state, measured } = JSON.parse(readFileSync(`/tmp/${f}`, 'utf8'));
  console.log(state.generation, measured.length);
  const s0 = total(choices, measured[0].levels).damage,
    v0 = measured[0].value;
  console.log(
    measured
      .map(
        (m: any) =>
          `${(100 * (total(choices, m.levels).damage / s0 - 1)).toFixed(1)}:${(100 * (m.value / v0 - 1)).toFixed(1)}`,
      )
      .join(' '),
  );
  // leave-one-out errors by deviation
  for (const deviation of [0.02, 0.05, 0.1, 0.2, 0.3, 0.4])
    for (const lab of [false, true]) {
      let e = 0,
        e0 = 0,
        n = 0;
      for (let i = 0; i < measured.length; i++) {
        const rest = measured.filter((_: any, j: number) => j !== i);
        const c = correctDamages(choices, rest, { deviations: [deviation], labels: lab ? labels : [] });
        const scale =
          rest.reduce((s: number, m: any) => s + m.value, 0) /
          rest.reduce((s: number, m: any) => s + total(choices, m.levels).damage, 0);
        const p = total(c, measured[i].levels).damage * scale;
        const p0 = total(choices, measured[i].levels).damage * scale;
        e += (p / measured[i].value - 1) ** 2;
        e0 += (p0 / measured[i].value - 1) ** 2;
        n++;
      }
      console.log(
        deviation,
        lab,
        'loo',
        (100 * Math.sqrt(e / n)).toFixed(2),
        'prior',
        (100 * Math.sqrt(e0 / n)).toFixed(2),
      );
    }
  const c = correctDamages(choices, measured, { deviations: [0.2], labels });
  console.log(
    c
      .map((x, t) =>
        x.levels.length > 1
          ? `${x.name.replace('.weight', '')} ${((x.levels[0]?.damage ?? 0) / (choices[t]?.levels[0]?.damage || 1)).toFixed(2)}`
          : '',
      )
      .filter(Boolean)
      .join(', '),
  );
}
