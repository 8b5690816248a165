/** Markup that needs no escaping any more. */
export interface Html {
  readonly markup: string;
}

type Content = Html | string | number | readonly Content[] | undefined;

/** A template whose values are escaped, except for those that are markup already; lists are joined. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return { markup: parts.map((part, index) => part + markupOf(values[index])).join('') };
}

/** Text that is markup already, such as a drawing. */
export const raw = (markup: string): Html => ({ markup });

function markupOf(value: Content): string {
  if (value === undefined) return '';
  if (typeof value === 'string' || typeof value === 'number') return escaped(String(value));
  if ('markup' in value) return value.markup;
  return value.map(markupOf).join('');
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
