import { expect, test } from 'vitest';
import { createTracker, type ProgressEvent, type Step } from './progress.js';

function follow(steps: readonly Step[]) {
  let time = 0;
  const events: ProgressEvent[] = [];
  const tracker = createTracker(
    (event) => events.push(event),
    () => time,
  );
  tracker.expect(steps);
  const wait = (seconds: number) => {
    time += 1000 * seconds;
  };
  const last = () => events.at(-1);
  return { tracker, events, wait, last };
}

const steps: readonly Step[] = [
  { stage: 'solve', tasks: ['compress'], weight: 80 },
  { stage: 'verify', weight: 10 },
  { stage: 'measure', tasks: ['predict', 'embed'], weight: 5 },
  { stage: 'measure', tasks: ['predict', 'embed'], weight: 5 },
];

test('tells the share of the whole, and the time left once there is a speed', async () => {
  const { tracker, wait, last } = follow(steps);
  await tracker.within('prepare', async () => wait(3));
  await tracker.within('solve', async () => {
    expect(last()).toEqual({ stage: 'solve', fraction: 0, secondsLeft: undefined });
    tracker.report('compress', 0, 4);
    wait(10);
    tracker.report('compress', 1, 4);
    expect(last()).toEqual({
      stage: 'solve',
      fraction: 0.2,
      secondsLeft: 40,
      detail: { task: 'compress', done: 1, total: 4 },
    });
    wait(30);
    tracker.report('compress', 4, 4);
    expect(last()).toMatchObject({ fraction: 0.8, secondsLeft: 10 });
  });
  await tracker.within('write', () =>
    tracker.within('verify', async () => {
      expect(last()).toEqual({ stage: 'verify', fraction: 0.8, secondsLeft: 10 });
      wait(5);
    }),
  );
  await tracker.within('measure', async () => {
    tracker.report('predict', 0, 2);
    expect(last()).toMatchObject({ stage: 'measure', fraction: 0.9, secondsLeft: 5 });
    tracker.report('predict', 2, 2);
    tracker.report('predict', 1, 2);
    expect(last()).toMatchObject({ fraction: 0.975 });
  });
  tracker.finish();
  expect(last()).toEqual({ stage: 'measure', fraction: 1, secondsLeft: 0 });
});

test('shows a search as planning, whatever it does, and what is not foreseen without a time', async () => {
  const { tracker, wait, events, last } = follow([
    { stage: 'plan', tasks: ['levels'], weight: 50 },
    ...steps,
  ]);
  await tracker.within('prepare', () =>
    tracker.within('plan', async () => {
      await tracker.within('calibrate', async () => {
        await tracker.within('solve', async () => wait(1));
        tracker.report('levels', 1, 2);
        expect(last()).toMatchObject({ stage: 'plan', fraction: 25 / 150 });
      });
      wait(1);
      tracker.report('compress', 1, 2);
      expect(last()).toMatchObject({ stage: 'plan', fraction: 25 / 150 });
    }),
  );
  expect(new Set(events.map(({ stage }) => stage))).toEqual(new Set(['prepare', 'plan']));
});

test('never falls, and drops what was foreseen and did not come', async () => {
  const { tracker, wait, events, last } = follow([
    { stage: 'plan', tasks: ['levels'], weight: 500 },
    ...steps,
  ]);
  await tracker.within('prepare', async () => {
    tracker.report('download', 1, 4);
    expect(last()).toMatchObject({ stage: 'download', fraction: 1 / 12 });
    wait(2);
    tracker.report('download', 4, 4);
  });
  await tracker.within('solve', async () => tracker.report('compress', 0, 10));
  expect(last()?.secondsLeft).toBeCloseTo((2 / 300) * 100);
  tracker.report('compress', 3, 10);
  tracker.report('compress', 1, 10);
  const fractions = events.map(({ fraction }) => fraction);
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
});
