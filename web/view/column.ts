import { formatBytes, formatDivergence, significant } from '../../src/numbers.js';
import type { Loaded } from '../engine/protocol.js';
import { make } from './elements.js';

/** One model of the two that are asked. */
export interface Column {
  show(
    model: Loaded | undefined,
    measured?: { readonly divergence?: number; readonly sameTop?: number },
  ): void;
  begin(prompt: string): void;
  add(text: string, tokensPerSecond: number): void;
}

export function createColumn(into: HTMLElement, title: string, id: string): Column {
  const name = make('span', { class: 'dim' });
  const figures = make('dl', { class: 'figures' });
  const text = make('p', { class: 'text answer', id: `${id}-answer` });
  const speed = make('dd', { text: '–', id: `${id}-speed` });
  into.append(
    make('div', { class: 'column' }, make('h3', {}, make('span', { text: title }), name), figures, text),
  );
  const figure = (term: string, value: string | HTMLElement) =>
    make(
      'div',
      {},
      make('dt', { text: term }),
      typeof value === 'string' ? make('dd', { text: value }) : value,
    );
  return {
    show(model, measured) {
      name.textContent = model ? ` ${model.name}` : '';
      const exact = measured?.divergence;
      figures.replaceChildren(
        figure('download', model ? formatBytes(model.bytes) : '–'),
        figure('in memory', model ? formatBytes(model.memory) : '–'),
        figure('tokens per second', speed),
        figure('divergence', exact === undefined ? '–' : formatDivergence(exact, 2)),
      );
    },
    begin(prompt) {
      speed.textContent = '–';
      text.replaceChildren(make('span', { class: 'dim', text: prompt }));
    },
    add(more, tokensPerSecond) {
      text.append(more);
      if (tokensPerSecond > 0) speed.textContent = significant(tokensPerSecond, 3);
    },
  };
}
