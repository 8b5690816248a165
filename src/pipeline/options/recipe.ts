import { z } from 'zod';
import type { Override } from './row.js';
import { type OptionName, type OptionRows, type OptionValue, optionNames, rowOf } from './rows.js';

/** What a recipe has for an option: overrides as their patterns' texts, everything else as it is. */
type RecipeValue<Value> = Value extends readonly Override[]
  ? Readonly<Record<string, string>>
  : Value extends readonly string[]
    ? string[]
    : Value;

type KeyOf<Name extends OptionName> = OptionRows[Name] extends {
  readonly recipe: { readonly key: infer Key extends string };
}
  ? Key
  : Name;
type RequiredName = {
  [Name in OptionName]: OptionRows[Name] extends { readonly recipe: { readonly required: true } }
    ? Name
    : never;
}[OptionName];
type RecipeName = {
  [Name in OptionName]: OptionRows[Name] extends { readonly recipe: object } ? Name : never;
}[OptionName];
type Flat<T> = { readonly [Key in keyof T]: T[Key] };

/** All that shaped a file, as it is written into it; together with the inputs it repeats the run. */
export type Recipe = Flat<
  {
    readonly [Name in RequiredName as KeyOf<Name>]: RecipeValue<OptionValue<OptionRows[Name]>>;
  } & {
    readonly [Name in Exclude<RecipeName, RequiredName> as KeyOf<Name>]?:
      | RecipeValue<OptionValue<OptionRows[Name]>>
      | undefined;
  }
>;

/** Options that recipes have, with the names that they have there. */
export const recipeParts = optionNames.flatMap((name) => {
  const { recipe } = rowOf(name);
  return recipe ? [{ ...recipe, name, key: (recipe.key ?? name) as keyof Recipe }] : [];
});

const valueSchema = (name: OptionName): z.ZodType => {
  const { kind, schema } = rowOf(name);
  return kind === 'overrides' ? z.record(z.string(), z.string()) : schema;
};

export const recipeSchema = z.strictObject(
  Object.fromEntries(
    recipeParts.map(({ name, key, required }) => [
      key,
      required ? valueSchema(name) : valueSchema(name).optional(),
    ]),
  ),
) as unknown as z.ZodType<Recipe>;

/** Values of options as a recipe has them; those that are undefined are left out. */
export function recipeFrom(values: Readonly<Partial<Record<OptionName, unknown>>>): Recipe {
  const entries = recipeParts.map(({ name, key }) => [key, recipeValue(values[name])] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as unknown as Recipe;
}

function recipeValue(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  const [first] = value;
  if (typeof first !== 'object') return [...value];
  return Object.fromEntries((value as Override[]).map(({ pattern, type }) => [pattern.source, type]));
}

/**
 * Everything of a recipe that decides on the codes of a tensor, given its type and the calibration tokens: part of the key
 * of whatever is kept of a solved tensor. A new option is in it unless its row says what else it decides on.
 */
export function solveIdentity(recipe: Recipe): string {
  return JSON.stringify(
    recipeParts.filter(({ decides }) => decides === 'solution').map(({ key }) => [key, recipe[key] ?? null]),
  );
}

/** Options that a recipe stands for, in the place of those that are left open; types are taken tensor by tensor. */
export const optionsFrom = (recipe: Recipe): Partial<Record<OptionName, unknown>> =>
  Object.fromEntries(
    recipeParts.flatMap(({ name, key, decides }) =>
      decides === 'types' || recipe[key] === undefined ? [] : [[name, recipe[key]]],
    ),
  );
