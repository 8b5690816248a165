import type { Step } from './progress.js';

/** What the steps of a job are foreseen from. */
export interface Foreseen {
  /** How types are searched for; absent: they are given. */
  readonly search?: string | undefined;
  /** Recipes to try. */
  readonly tune?: number | undefined;
}

/** A model goes through tersor's forward pass twice, before and after, and what it predicts is compared. */
const measuring: readonly Step[] = [
  { stage: 'measure', tasks: ['predict', 'embed'], weight: 3 },
  { stage: 'measure', tasks: ['predict', 'embed'], weight: 3 },
  { stage: 'measure', tasks: ['score'], weight: 1 },
];

/** What searches do after the levels have been solved, in the order in which they do it. */
const searching: Readonly<Record<string, readonly Step[]>> = {
  evopress: [
    { stage: 'plan', tasks: ['evolve'], weight: 300 },
    { stage: 'plan', tasks: ['tryAllocation'], weight: 800 },
  ],
  front: [{ stage: 'plan', tasks: ['front'], weight: 100 }],
};

/** What comes before a model is compressed, in hundredths of the time that compressing it takes. */
export function planningSteps({ search, tune }: Foreseen): readonly Step[] {
  return [
    ...(search === undefined ? [] : [{ stage: 'plan', tasks: ['levels'], weight: 150 } as const]),
    ...(searching[search ?? ''] ?? []),
    ...(tune ? [{ stage: 'plan', tasks: ['tune'], weight: 100 * tune } as const] : []),
  ];
}

/** Of a whole compression; measured on tales, where the solver takes most of the time, whichever it is. */
export function compressionSteps(foreseen: Foreseen): readonly Step[] {
  return [
    ...planningSteps(foreseen),
    { stage: 'solve', tasks: ['compress'], weight: 100 },
    { stage: 'verify', weight: 3 },
    ...measuring,
  ];
}

/** Of a stacked file, which is made of refinements and measured at several sizes. */
export const stackSteps: readonly Step[] = [
  { stage: 'solve', tasks: ['refine'], weight: 100 },
  { stage: 'measure', tasks: ['measure'], weight: 10 },
];

/** Of an evaluation, with or without an original to compare with. */
export const evaluationSteps = (compared: boolean): readonly Step[] =>
  compared ? measuring : measuring.slice(1);

/** Of a report; what it has no text or no original for is skipped. */
export const reportSteps: readonly Step[] = [
  { stage: 'measure', tasks: ['layers'], weight: 10 },
  ...measuring,
  { stage: 'measure', tasks: ['text'], weight: 5 },
];

export const imatrixSteps: readonly Step[] = [{ stage: 'calibrate', tasks: ['importance'], weight: 1 }];
