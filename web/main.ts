import { formatBytes, formatDivergence, formatPercent } from '../src/numbers.js';
import type { Event, Loaded, Request, Sharpness, Side } from './engine/protocol.js';
import { createChart } from './view/chart.js';
import { type Column, createColumn } from './view/column.js';
import { byId, make } from './view/elements.js';

const engine = new Worker(new URL('./engine/worker.ts', import.meta.url), { type: 'module' });
const ask = (request: Request) => engine.postMessage(request);

const base = new URL('./tales/', document.baseURI).href;
const embedded = new URL('tales.stack', base).href;
const chart = createChart(byId('chart'));
const columns: Record<Side, Column> = {
  original: createColumn(byId('columns'), 'Original', 'original'),
  compressed: createColumn(byId('columns'), 'Compressed', 'compressed'),
};
const prompt = byId<HTMLInputElement>('prompt');
const buttons = {
  again: byId<HTMLButtonElement>('again'),
  go: byId<HTMLButtonElement>('go'),
  stop: byId<HTMLButtonElement>('stop'),
};

/** What is being shown. */
const state = {
  source: embedded as string | File,
  points: [] as Sharpness[],
  total: 0,
  usableAt: 0,
  spoken: false,
  present: new Set<Side>(),
  telling: new Set<Side>(),
  streaming: false,
};

const status = (text: string) => {
  byId('status').textContent = text;
};
/** Nothing said yet is far from everything. */
const farDivergence = 1.5;
const nearDivergence = 0.003;

/** From 0, a model that guesses, to 1, one that cannot be told from the original. */
const sharpness = (divergence: number) =>
  Math.min(1, Math.max(0, Math.log(farDivergence / divergence) / Math.log(farDivergence / nearDivergence)));

function update(): void {
  const idle = !state.streaming && state.telling.size === 0;
  buttons.again.disabled = !idle;
  buttons.go.disabled = !idle || state.present.size === 0;
  buttons.stop.disabled = idle;
}

function startStream(source: string | File): void {
  Object.assign(state, { source, points: [], total: 0, usableAt: 0, spoken: false, streaming: true });
  state.present.delete('compressed');
  for (const id of ['arrived', 'first', 'divergence', 'same']) byId(id).textContent = '–';
  byId('story').replaceChildren(make('span', { class: 'dim', text: prompt.value }));
  byId('fill').style.width = '0';
  columns.compressed.show(undefined);
  chart.draw([], 0, 0);
  status('Downloading the stacked model…');
  const bytesPerSecond = Number(byId<HTMLSelectElement>('rate').value);
  ask({ kind: 'stream', source, bytesPerSecond, prompt: prompt.value });
  update();
}

function showArrival(bytes: number, total: number, usableAt: number): void {
  const known = state.usableAt > 0;
  Object.assign(state, { total, usableAt });
  if (!known && usableAt > 0) chart.draw([], total, usableAt);
  const share = total > 0 ? (100 * bytes) / total : 0;
  byId('fill').style.width = `${share}%`;
  byId('bar').setAttribute('aria-valuenow', String(Math.round(share)));
  byId('mark').hidden = usableAt === 0;
  byId('mark').style.left = `${(100 * usableAt) / Math.max(1, total)}%`;
  byId('arrived').textContent =
    bytes < total ? `${formatBytes(bytes)} of ${formatBytes(total)}` : formatBytes(bytes);
}

function showSharper(measured: Sharpness): void {
  state.points.push(measured);
  byId('divergence').textContent = formatDivergence(measured.divergence, 2);
  byId('same').textContent = formatPercent(measured.sameTop);
  chart.draw(
    state.points.map(({ bytes, divergence }) => ({ x: bytes, y: divergence })),
    state.total,
    state.usableAt,
  );
}

function showWord(text: string, bytes: number, divergence: number | undefined): void {
  if (!state.spoken) {
    state.spoken = true;
    byId('first').textContent = `${formatBytes(bytes)} (${formatPercent(bytes / state.total)})`;
  }
  const word = make('span', { text });
  const sharp = divergence === undefined ? 1 : sharpness(divergence);
  word.style.setProperty('--sharp', sharp.toFixed(3));
  if (divergence !== undefined)
    word.title = `at ${formatBytes(bytes)}, divergence ${formatDivergence(divergence, 2)}`;
  byId('story').append(word);
}

const device = ({ provider }: Loaded) => (provider === 'webgpu' ? 'the graphics processor' : 'the processor');

function onEvent(event: Event): void {
  switch (event.kind) {
    case 'loading':
      status(`Loading the original: ${formatBytes(event.bytes)} of ${formatBytes(event.total)}`);
      break;
    case 'loaded':
      state.present.add('original');
      columns.original.show(event.original, { divergence: 0, sameTop: 1 });
      startStream(embedded);
      break;
    case 'arriving':
      showArrival(event.bytes, event.total, event.usableAt);
      break;
    case 'sharper':
      showSharper(event);
      break;
    case 'word':
      showWord(event.text, event.bytes, event.divergence);
      break;
    case 'arrived':
      state.streaming = false;
      state.present.add('compressed');
      columns.compressed.show(event.compressed, event);
      status(`Ready: ${event.compressed.name} runs on ${device(event.compressed)}.`);
      break;
    case 'token':
      columns[event.side].add(event.text, event.tokensPerSecond);
      break;
    case 'told':
      state.telling.delete(event.side);
      if (state.telling.size === 0) status('Ready.');
      break;
    case 'failed':
      state.streaming = false;
      state.telling.clear();
      status(`Something went wrong: ${event.message}`);
      break;
    default:
      event satisfies never;
  }
  update();
}

/** One file is a stacked model, several are a folder. */
function open(files: readonly File[]): void {
  const stack = files.find(({ name }) => name.endsWith('.stack'));
  if (files.length > 0) byId<HTMLSelectElement>('model').value = 'file';
  if (stack) startStream(stack);
  else if (files.length > 0) {
    status('Loading the ONNX folder…');
    state.streaming = true;
    ask({ kind: 'open', files });
    update();
  }
}

/** The files that were dropped, those in folders too. */
async function dropped(transfer: DataTransfer): Promise<File[]> {
  const filesOf = async (entry: FileSystemEntry | null): Promise<File[]> => {
    if (!entry) return [];
    if (entry.isFile)
      return [
        await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)),
      ];
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    const inside = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    return (await Promise.all(inside.map(filesOf))).flat();
  };
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  return (await Promise.all(entries.map(filesOf))).flat();
}

engine.addEventListener('message', ({ data }: MessageEvent<Event>) => onEvent(data));
engine.addEventListener('error', ({ message }) => onEvent({ kind: 'failed', message }));
buttons.again.addEventListener('click', () => startStream(state.source));
buttons.stop.addEventListener('click', () => {
  ask({ kind: 'stop' });
  state.streaming = false;
  update();
});
byId<HTMLFormElement>('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  const temperature = Number(byId<HTMLInputElement>('temperature').value);
  for (const side of state.present) {
    state.telling.add(side);
    columns[side].begin(prompt.value);
    ask({ kind: 'tell', side, prompt: prompt.value, temperature, most: 120 });
  }
  status('Telling…');
  update();
});
byId<HTMLSelectElement>('model').addEventListener('change', ({ target }) => {
  if (!(target instanceof HTMLSelectElement)) return;
  if (target.value === 'tales') startStream(embedded);
  else byId<HTMLInputElement>('files').click();
});
byId<HTMLInputElement>('files').addEventListener('change', ({ target }) => {
  if (target instanceof HTMLInputElement) open([...(target.files ?? [])]);
});
const drop = byId('drop');
drop.addEventListener('dragover', (event) => {
  event.preventDefault();
  drop.classList.add('over');
});
drop.addEventListener('dragleave', () => drop.classList.remove('over'));
drop.addEventListener('drop', async (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  if (event.dataTransfer) open(await dropped(event.dataTransfer));
});

columns.original.show(undefined);
columns.compressed.show(undefined);
chart.draw([], 0, 0);
ask({ kind: 'load', base });
