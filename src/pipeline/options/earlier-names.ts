// What options were called before version 0.2: files that were written then are still read, and flags say the new name.

/** Of options of solvers and searches. */
export const earlierSettings: Readonly<Record<string, string>> = {
  anneals: 'annealingSweeps',
  shakes: 'annealingPasses',
  kicks: 'perturbations',
};

/** Settings with the names that they have now. */
export function renamedSettings<V>(
  given: Readonly<Record<string, V>>,
  renamed: (before: string, now: string) => void = () => {},
): Record<string, V> {
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => {
      const now = Object.hasOwn(earlierSettings, key) ? earlierSettings[key] : undefined;
      if (now === undefined) return [key, value];
      renamed(key, now);
      return [now, value];
    }),
  );
}

type Parts = Record<string, unknown>;

const earlierParts: Readonly<Record<string, (value: unknown) => Parts>> = {
  prefix: (value) => ({ calibrateOn: value === 'compressed' ? 'quantized' : value }),
  target: (value) => ({ match: value === 'asymmetric' ? 'original' : value === 'symmetric' ? 'own' : value }),
  damage: (value) => ({ sensitivity: value }),
  options: (value) => ({ options: isParts(value) ? renamedSettings(value) : value }),
  searchOptions: (value) => ({ searchOptions: isParts(value) ? renamedSettings(value) : value }),
};

/** A recipe of any version with the names of this one. */
export function currentRecipe(recipe: unknown): unknown {
  if (!isParts(recipe)) return recipe;
  return Object.fromEntries(
    Object.entries(recipe).flatMap(([key, value]) => {
      const translate = Object.hasOwn(earlierParts, key) ? earlierParts[key] : undefined;
      return Object.entries(translate ? translate(value) : { [key]: value });
    }),
  );
}

const isParts = (value: unknown): value is Parts =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
