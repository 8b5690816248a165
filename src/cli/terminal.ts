import type { JobHooks } from '../pipeline/context/hooks.js';
import type { ProgressEvent } from '../pipeline/context/progress.js';
import { formatDuration, wrap } from './format.js';
import { taskName } from './tasks.js';

/** The part of a stream that the terminal needs. */
export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Environment variables, which decide on nothing but looks. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a terminal writes, and what ends its jobs. */
export interface Streams {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly signal: AbortSignal;
  readonly environment?: Environment | undefined;
}

export interface TerminalOptions {
  /** Standard output is one JSON document: nothing else may go there. */
  readonly json?: boolean | undefined;
  /** A clock in milliseconds. */
  readonly now?: () => number;
}

/** What commands print with. */
export interface Terminal {
  readonly hooks: JobHooks;
  /** A result for people; nothing with --json. */
  print(text: string): void;
  /** Something about the result that is no part of it: on standard error; nothing with --json. */
  note(text: string): void;
  /** The result for programs; nothing without --json. */
  json(document: unknown): void;
  readonly style: Style;
  /** Takes the progress bar away. */
  finish(): void;
}

const redrawInterval = 80; // milliseconds; faster flickers and costs time over slow connections
const barWidth = 24;
const worthALine = 1; // seconds; shorter tasks leave no trace
/** Milliseconds between two signs of life where there is no terminal. */
const signOfLife = 30_000;
/** The time left is told from this share of the job and this many milliseconds on; before, it would be a guess. */
const [toldFrom, toldAfter] = [0.1, 3000];

/**
 * Progress and notes on standard error, since standard output is for results. On a terminal: one line with the task in hand
 * as a bar, how much of the whole is done, and the time left. Otherwise one plain line per finished task, and one every 30
 * seconds in between.
 */
export function createTerminal(
  { stdout, stderr, signal, environment = {} }: Streams,
  { json = false, now = Date.now }: TerminalOptions = {},
): Terminal {
  const started = new Map<string, number>();
  // A dumb terminal cannot take a bar away again.
  const interactive = stderr.isTTY === true && environment.TERM !== 'dumb';
  const style = createStyle(stderr, environment);
  const begun = now();
  let heardAt = begun;
  let wroteAt = begun;
  let drawn = '';
  let drawnAt = Number.NEGATIVE_INFINITY;

  const clear = () => {
    if (drawn) stderr.write('\r\x1b[K');
    drawn = '';
  };
  const line = (text: string) => {
    clear();
    stderr.write(`${text}\n`);
    wroteAt = now();
  };
  const timeLeft = ({ fraction, secondsLeft }: ProgressEvent): string =>
    secondsLeft === undefined || fraction < toldFrom || now() - begun < toldAfter
      ? ''
      : `, ${formatDuration(secondsLeft)} left`;

  const progress = (event: ProgressEvent) => {
    const { task, done, total } = event.detail ?? { task: event.stage, done: 0, total: 1 };
    const name = taskName(task);
    const time = now();
    // A task that is first heard of after some work began when the one before fell silent.
    const since = started.get(task) ?? (done > 0 ? heardAt : time);
    if (event.detail) {
      started.set(task, since);
      heardAt = time;
    }
    const seconds = (time - since) / 1000;
    if (total > 0 && done >= total) {
      started.delete(task);
      if (seconds < worthALine) clear();
      else line(`${name.padEnd(taskWidth)} ${style.dim(formatDuration(seconds))}`);
      return;
    }
    if (!interactive && time - wroteAt >= signOfLife)
      line(`${name.padEnd(taskWidth)} ${wholeDone(event)}${timeLeft(event)}`);
    if (!interactive || event.fraction === 1 || (drawn && time - drawnAt < redrawInterval)) return;
    drawnAt = time;
    const columns = stderr.columns ?? 80;
    const whole = `${wholeDone(event).padStart(wholeWidth)}${timeLeft(event)}`;
    drawn = `${name.padEnd(taskWidth)} ${bar(total > 0 ? done / total : 0)} ${whole}`.slice(0, columns - 1);
    stderr.write(`\r\x1b[K${drawn}`);
  };

  return {
    hooks: {
      progress,
      warn: (text) =>
        line(wrap(`note: ${text}`, undefined, '      ').replace('note:', style.yellow('note:'))),
      signal,
    },
    style: createStyle(stdout, environment),
    print(text) {
      clear();
      if (!json) stdout.write(`${text}\n`);
    },
    note(text) {
      clear();
      if (!json) stderr.write(`${style.dim(text)}\n`);
    },
    json(document) {
      clear();
      if (json) stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    },
    finish: clear,
  };
}

const taskWidth = 18;

const wholeDone = ({ fraction }: ProgressEvent): string => `${Math.floor(fraction * 100)} % of all`;
const wholeWidth = '100 % of all'.length;

function bar(share: number): string {
  const full = Math.floor(Math.min(1, share) * barWidth);
  return '█'.repeat(full) + '░'.repeat(barWidth - full);
}

/** Colours, or the plain text where they are not wanted. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  red(text: string): string;
  yellow(text: string): string;
}

/** Colours for a stream. */
export function createStyle(output: Output, environment: Environment = {}): Style {
  const on = wantsColor(output, environment);
  const code = (open: number, close: number) => (text: string) =>
    on ? `\x1b[${open}m${text}\x1b[${close}m` : text;
  return {
    bold: code(1, 22),
    dim: code(2, 22),
    green: code(32, 39),
    red: code(31, 39),
    yellow: code(33, 39),
  };
}

/**
 * Only a terminal gets colours, unless FORCE_COLOR asks for them everywhere (`0` and `false`: nowhere) or NO_COLOR
 * forbids them (https://no-color.org). FORCE_COLOR wins, as in Node.
 */
function wantsColor({ isTTY }: Output, { FORCE_COLOR, NO_COLOR, TERM }: Environment): boolean {
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return isTTY === true && !NO_COLOR && TERM !== 'dumb';
}
