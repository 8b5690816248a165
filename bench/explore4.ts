import { readdirSync, readFileSync } from 'node:fs';
import { dot, factorize, solve, solveLower } from '../src/allocation/linear.js';
import { type Choice, total } from '../src/allocation/table.js';

const choices: Choice[] = JSON.parse(readFileSync('/tmp/choices.json', 'utf8'));
const parts = (name: string) => {
  const [b] = /\.\d+\./.exec(name) ?? [];
  return b ? [b, name.replace(b, '.')] : ['', name];
};
type K = (t: number, l: number, t2: number, l2: number) => number;
const kernels: Record<string, number[]> = {
  // own tensor-level, tensor, block, role, type
  tensor: [0, 1, 0, 0, 0],
  'tensor+block+role': [0, 0.5, 0.25, 0.25, 0],
  'depth-ish block': [0, 0.2, 0.8, 0, 0],
  level: [1, 0, 0, 0, 0],
  'level+tensor': [0.5, 0.5, 0, 0, 0],
  'level+tensor+block+role+type': [0.2, 0.2, 0.2, 0.2, 0.2],
  'tensor+block+type': [0, 0.34, 0.33, 0, 0.33],
  'block+type': [0, 0, 0.5, 0, 0.5],
  'level+block+type': [0.34, 0, 0.33, 0, 0.33],
};
for (const f of readdirSync('/tmp').filter((n) => n.startsWith('mem-'))) {
  const { measured } = JSON.parse(readFileSync(`/tmp/${f}`, 'utf8'));
  console.log(measured.length);
  for (const [name, w] of Object.entries(kernels)) {
    const k: K = (t, l, t2, l2) => {
      const [a, b] = [choices[t]!, choices[t2]!];
      const [pa, pb] = [parts(a.name), parts(b.name)];
      return (
        w[0]! * +(t === t2 && l === l2) +
        w[1]! * +(t === t2) +
        w[2]! * +(pa[0] === pb[0]) +
        w[3]! * +(pa[1] === pb[1]) +
        w[4]! * +(a.levels[l]!.type === b.levels[l2]!.type)
      );
    };
    const cov = (x: number[], y: number[]) => {
      let s = 0;
      for (const [t, l] of x.entries())
        for (const [t2, l2] of y.entries())
          s += k(t, l, t2, l2) * choices[t]!.levels[l]!.damage * choices[t2]!.levels[l2]!.damage;
      return s;
    };
    const n = measured.length;
    const G: number[][] = measured.map((a: any) => measured.map((b: any) => cov(a.levels, b.levels)));
    const D = measured.map((m: any) => total(choices, m.levels).damage);
    const out: string[] = [];
    for (const dev of [0.1, 0.2, 0.3, 0.5])
      for (const noise of [0.004, 0.008]) {
        let e = 0;
        for (let i = 0; i < n; i++) {
          const idx = [...Array(n).keys()].filter((j) => j !== i);
          const scale = idx.reduce((s, j) => s + measured[j].value, 0) / idx.reduce((s, j) => s + D[j], 0);
          const K = new Float64Array(idx.length ** 2);
          idx.forEach((a, p) =>
            idx.forEach((b, q) => {
              K[p * idx.length + q] = dev ** 2 * G[a]![b]! + (a === b ? (noise * D[a]) ** 2 : 0);
            }),
          );
          const r = Float64Array.from(idx, (j) => measured[j].value / scale - D[j]);
          const wts = solve(factorize(K, idx.length)!, r);
          const pred = D[i] + idx.reduce((s, j, p) => s + dev ** 2 * G[i]![j]! * wts[p]!, 0);
          e += ((pred * scale) / measured[i].value - 1) ** 2;
        }
        out.push(`${dev}/${noise}: ${(100 * Math.sqrt(e / n)).toFixed(2)}`);
      }
    console.log(name.padEnd(32), out.join('  '));
  }
}
