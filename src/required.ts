/**
 * The value that a map, a record or an array must have.
 * @throws Error that names the key: a fault of the program, not of what it was given
 */
export function required<K extends string | number | object, V>(
  from: ReadonlyMap<K, V> | Readonly<Record<string, V>> | readonly V[],
  key: K,
): V {
  const found = from instanceof Map ? from.get(key) : (from as Readonly<Record<string, V>>)[String(key)];
  if (found === undefined) throw new Error(`there is no ${typeof key === 'object' ? nameOf(key) : key}`);
  return found;
}

const nameOf = (key: object): string =>
  'names' in key ? JSON.stringify(key.names) : 'name' in key ? String(key.name) : 'entry of this object';
