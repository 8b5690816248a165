/** The element of this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found as T;
}

/** A new element with text, classes and attributes. */
export function make(
  tag: string,
  { text, ...attributes }: { readonly text?: string } & Readonly<Record<string, string>> = {},
  ...children: readonly Node[]
): HTMLElement {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
