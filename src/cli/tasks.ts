/** What people call the tasks that jobs report; those that are left out go by their own name. */
const names: Readonly<Record<string, string>> = {
  levels: 'try every type',
  front: 'weigh sizes',
  evolve: 'search for types',
  tryAllocation: 'compare finds',
  tune: 'tune settings',
  importance: 'importance',
  compress: 'compress',
  refine: 'refine',
  predict: 'predict text',
  embed: 'embed sentences',
  score: 'compare',
  layers: 'compare layers',
  text: 'write samples',
};

/** A task as the terminal shows it; names may stand before it (`rounding: predict`). */
export const taskName = (task: string): string =>
  task.replace(/\w+$/, (last) => (Object.hasOwn(names, last) ? names[last] : undefined) ?? last);
