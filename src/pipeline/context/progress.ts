/**
 * Parts of a job, by which progress is told and time is charged. `prepare` opens and reads what is worked on, `plan` searches
 * for types and settings, `calibrate` and `read` serve what solves; `write` includes packing; `verify` opens what was
 * written in its own runtime; `measure` compares it with the original.
 */
export const stages = [
  'download',
  'prepare',
  'plan',
  'read',
  'calibrate',
  'solve',
  'write',
  'verify',
  'measure',
] as const;

export type Stage = (typeof stages)[number];

/** How far a job is. */
export interface ProgressEvent {
  readonly stage: Stage;
  /** Share of the whole job that is done, from 0 to 1; never falls. */
  readonly fraction: number;
  /** Until the end of the job, going by the speed so far; undefined until there is one, and while nobody can know. */
  readonly secondsLeft: number | undefined;
  /** What is at work in this stage; absent where a stage begins and at the end of the job. */
  readonly detail?: { readonly task: string; readonly done: number; readonly total: number };
}

/** A part of a job that is foreseen. */
export interface Step {
  readonly stage: Stage;
  /** What it may report as; absent: it takes up the whole stage, and reports nothing. */
  readonly tasks?: readonly string[];
  /** The time that it takes, in any unit that all steps of the job share. */
  readonly weight: number;
}

/** Makes events of reports. */
export interface Tracker {
  /** Replaces what is foreseen, without what is over. */
  expect(steps: readonly Step[]): void;
  /** Does a piece of work that belongs to a stage; stages nest. */
  within<T>(stage: Stage, work: () => Promise<T>): Promise<T>;
  /** `done` of `total` units of a task. */
  report(task: string, done: number, total: number): void;
  /** The job has reached its end. */
  finish(): void;
}

/** Milliseconds and share of a step before its speed says anything. */
const [briefly, slightly] = [500, 0.01];
/** What fetching a model takes in comparison with the rest: a guess that lasts until it is there. */
const downloadShare = 0.5;

/**
 * Follows a job through its steps. A report of a task that is not foreseen is passed on and moves nothing; work whose
 * steps were foreseen and did not come is skipped when a later one begins.
 * @param now a clock in milliseconds
 */
export function createTracker(
  listener: (event: ProgressEvent) => void,
  now: () => number = () => performance.now(),
): Tracker {
  const open: Stage[] = [];
  let steps: readonly Step[] = [];
  let current = 0;
  /** Of the current step: its share that is done, if it has told, and when it began. */
  let share: number | undefined;
  let begun = now();
  /** Foreseen work that is over: its weight and the milliseconds that it took. */
  const past = { weight: 0, milliseconds: 0 };
  let fraction = 0;
  let shown: Stage | undefined;

  const weightFrom = (index: number) => steps.slice(index).reduce((sum, { weight }) => sum + weight, 0);

  /** Ends the current step, which counts if it was ever at work, and all before the one of this index. */
  const moveTo = (index: number) => {
    if (index <= current) return;
    if (share !== undefined) {
      past.weight += steps[current]?.weight ?? 0;
      past.milliseconds += now() - begun;
    }
    current = index;
    share = undefined;
    begun = now();
  };
  const find = (stage: Stage, task?: string): number => {
    const from = share === 1 ? current + 1 : current;
    return steps.findIndex((step, index) => index >= from && matches(step, stage, task));
  };

  const secondsLeft = (): number | undefined => {
    const step = steps[current];
    if (step && share === undefined) return undefined;
    const elapsed = now() - begun;
    const done = share !== undefined && share > slightly && elapsed > briefly ? share : 0;
    const weight = past.weight + done * (step?.weight ?? 0);
    const milliseconds = past.milliseconds + (done > 0 ? elapsed : 0);
    if (milliseconds < briefly || weight === 0) return undefined;
    const pace = milliseconds / weight;
    const left = done > 0 ? (elapsed / done) * (1 - done) : Math.max(0, pace * (step?.weight ?? 0) - elapsed);
    return (left + pace * weightFrom(current + 1)) / 1000;
  };
  const emit = (stage: Stage, detail?: NonNullable<ProgressEvent['detail']>) => {
    const total = past.weight + weightFrom(current);
    const reached = past.weight + (share ?? 0) * (steps[current]?.weight ?? 0);
    if (total > 0) fraction = Math.min(1, Math.max(fraction, reached / total));
    shown = stage;
    listener({ stage, fraction, secondsLeft: secondsLeft(), ...(detail ? { detail } : {}) });
  };

  return {
    expect(foreseen) {
      moveTo(steps.length);
      steps = foreseen;
      current = 0;
      share = undefined;
      begun = now();
    },
    async within(stage, work) {
      open.push(stage);
      const inside = visible(open);
      const silent = find(inside);
      if (silent >= 0 && share !== 0) {
        moveTo(silent);
        share = 0;
      }
      // What came before this stage was foreseen by nobody, and is not this step's.
      if (share === undefined && inside !== shown) begun = now();
      if (inside !== shown) emit(inside);
      try {
        return await work();
      } finally {
        open.pop();
        if (visible(open) !== inside && silent >= 0 && silent === current) moveTo(current + 1);
      }
    },
    report(task, done, total) {
      const stage = task === 'download' ? task : visible(open);
      const index = find(stage, task);
      if (index >= 0) moveTo(index);
      else if (stage === 'download' && share !== 1) {
        // Nobody foresees it, because only the cache knows.
        const weight = downloadShare * weightFrom(current);
        steps = [...steps.slice(0, current), { stage, tasks: [task], weight }, ...steps.slice(current)];
      }
      const step = steps[current];
      if (step && matches(step, stage, task) && total > 0)
        share = Math.min(1, Math.max(share ?? 0, done / total));
      emit(stage, { task, done, total });
    },
    finish() {
      moveTo(steps.length);
      fraction = 1;
      listener({ stage: shown ?? 'prepare', fraction, secondsLeft: 0 });
    },
  };
}

const matches = ({ stage, tasks }: Step, reported: Stage, task?: string): boolean =>
  stage === reported && (task === undefined ? tasks === undefined : (tasks?.includes(task) ?? false));

/** Of stages inside each other the one to show: of a search not what it solves, of writing the check. */
function visible(open: readonly Stage[]): Stage {
  return open.find((stage) => stage !== 'prepare' && stage !== 'write') ?? open.at(-1) ?? 'prepare';
}
