/** How many threads a library that waits by spinning should compute with. */
export interface ThreadChoice {
  /** Threads for the next piece of work. */
  next(): number;
  /** What it took, in any unit that all pieces share; pieces are of one size. */
  took(time: number): void;
}

/** Pieces whose median is the pace: one that was interrupted must not decide. */
const remembered = 5;
/** Another number is tried again when so many times the cost of its last trial has been spent without one. */
const patience = 20;

/**
 * Chooses the number of threads by what pieces of work took: `most`, or half, a quarter… of it. ggml's threads wait for
 * each other by spinning, many times per token. Where a core is busy with something else, each wait lasts until the
 * system lets the late thread run, and two threads can be thirty times slower than one; small models gain little by threads
 * anyway. All numbers are tried at the beginning, and now and then later, since other programs come and go.
 * @param first what to begin with; one of the numbers that are tried
 */
export function chooseThreads(most: number, first = most): ThreadChoice {
  const counts: number[] = [most];
  for (let count = most; count > 1; ) {
    count = Math.ceil(count / 2);
    counts.push(count);
  }
  let current = first;
  /** The number that is tried, while one is. */
  let trial: number | undefined;
  /** The next one to try, as a position in `counts`. */
  let turn = 0;
  /** What a piece took at each other number when it was last at work. */
  const paces = new Map<number, number>();
  let recent: number[] = [];
  let sinceTrial = 0;
  let warm = false;

  /** Begins a trial of the next number if it is cheap enough; one that was never tried is. */
  const consider = () => {
    if (counts[turn] === current) turn = (turn + 1) % counts.length;
    const candidate = counts[turn] ?? current;
    if (candidate !== current && sinceTrial >= patience * (paces.get(candidate) ?? 0)) trial = candidate;
  };

  return {
    next: () => trial ?? current,
    took(time) {
      if (!warm) {
        // The first piece also loads weights and makes plans.
        warm = true;
        return;
      }
      if (trial === undefined) {
        recent = [...recent.slice(1 - remembered), time];
        sinceTrial += time;
      } else {
        if (time < median(recent)) {
          paces.set(current, median(recent));
          current = trial;
          recent = [time];
        } else {
          paces.set(trial, time);
        }
        trial = undefined;
        sinceTrial = 0;
        turn = (turn + 1) % counts.length;
      }
      consider();
    },
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** Multiplications that one thread does in about 10 ms: not worth the waiting for a second one. */
const brief = 1e8;

/**
 * Choices of the number of threads for batches, one for each power of two of tokens: those take about the same time.
 * @param weights of the model
 */
export function threadChoices(most: number, weights: number): (tokens: number) => ThreadChoice {
  const choices = new Map<number, ThreadChoice>();
  return (tokens) => {
    const size = Math.ceil(Math.log2(tokens));
    const choice = choices.get(size) ?? chooseThreads(most, tokens * weights < brief ? 1 : most);
    choices.set(size, choice);
    return choice;
  };
}
