import type { Tunable } from '../method.js';

/** Settings of solvers that are worth tuning, in the order in which they are proposed. */
export const tunable = {
  damping: { kind: 'real', low: 0.003, high: 1, scale: 'log' },
  order: { kind: 'choice', values: ['natural', 'activation'] },
  groups: { kind: 'choice', values: ['static', 'dynamic'] },
  temperature: { kind: 'real', low: 0, high: 2 },
  windows: { kind: 'integer', low: 2, high: 16 },
} as const satisfies Readonly<Record<string, Tunable>>;
