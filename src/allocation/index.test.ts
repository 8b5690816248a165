import { expect, test } from 'vitest';
import { bayesianDefaults } from './bayesian.js';
import { bisectionDefaults } from './bisection.js';
import { evoPressDefaults } from './evopress.js';
import { frontDefaults } from './front.js';
import { findSearch, searches, searchOptions } from './index.js';
import { interactionDefaults } from './interactions.js';
import { knapsackDefaults } from './knapsack.js';
import { layerDpDefaults } from './layer-dp.js';

test('every row of the catalogue is there once, and its defaults are those of the search', () => {
  expect(searches.map(({ id }) => id)).toEqual(['A1', 'A2', 'A3', 'A4', 'A5', 'A6', 'A7', 'A8', 'S4']);
  const defaults = {
    knapsack: knapsackDefaults,
    'layer-dp': layerDpDefaults,
    bisection: bisectionDefaults,
    evopress: { ...evoPressDefaults, finalists: 8 },
    front: frontDefaults,
    bayesian: bayesianDefaults,
    interactions: interactionDefaults,
  };
  for (const [name, own] of Object.entries(defaults)) expect(searchOptions(name)).toEqual(own);
});

test('errors name the search and its option', () => {
  expect(() => findSearch('magic')).toThrow('choose one of knapsack, layer-dp');
  expect(() => searchOptions('knapsack', { states: 0 })).toThrow('option states of knapsack');
  expect(searchOptions('evopress', { survivors: 2, tokens: [0, 64] })).toMatchObject({ survivors: [2] });
  expect(() => searchOptions('evopress', { speed: 1 })).toThrow('evopress has no option speed');
});
