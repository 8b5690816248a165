export interface Stopwatch<Stage extends string> {
  /** Seconds by stage so far, for finished pieces of work. */
  readonly seconds: Readonly<Record<Stage, number>>;
  /** Charges the time of a piece of work to a stage, without what pieces inside it charge to theirs. */
  time<T>(stage: Stage, work: () => Promise<T>): Promise<T>;
}

/** Splits the time of a job whose pieces follow or contain each other. */
export function createStopwatch<Stage extends string>(stages: readonly Stage[]): Stopwatch<Stage> {
  const seconds = Object.fromEntries(stages.map((stage) => [stage, 0])) as Record<Stage, number>;
  let inner = 0;
  return {
    seconds,
    async time(stage, work) {
      const start = performance.now();
      const before = inner;
      inner = 0;
      try {
        return await work();
      } finally {
        const elapsed = (performance.now() - start) / 1000;
        seconds[stage] += elapsed - inner;
        inner = before + elapsed;
      }
    },
  };
}
