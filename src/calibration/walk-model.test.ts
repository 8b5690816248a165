import { expect, test } from 'vitest';
import { tiny } from '../../test/fixtures/random-model.js';
import type { Hidden } from '../architecture/forward.js';
import type { Calibrator } from './walk.js';
import { walkModel } from './walk-model.js';

const architecture = tiny.llama;
const batch = { sequences: 1, length: 2 };
const statesOf = (value: number): Hidden[] => [{ batch, data: Float32Array.of(value) }];
const firstOf = (hidden: readonly Hidden[] | undefined) => hidden?.[0]?.data[0];
const moments = { gram: { rows: 1, cols: 1, data: Float32Array.of(1) }, tokens: 2 };

/** Stops at two sites; states count the blocks that they have passed. */
const sites = [['attn_q.weight', 'attn_k.weight', 'attn_v.weight'], ['ffn_down.weight']];
const calibrator: Calibrator = {
  async walk({ hidden }, visit, { original, skip } = {}) {
    for (const roles of sites) if (!(await skip?.(roles))) await visit(roles, moments);
    const passed = (states: readonly Hidden[]) => statesOf((firstOf(states) ?? 0) + 1);
    return { output: passed(hidden), ...(original ? { original: passed(original.hidden) } : {}) };
  },
  head: async () => moments,
  release: async () => {},
};

test('embedding, sites, what is left of each block, and the head follow each other', async () => {
  const seen: string[] = [];
  await walkModel(architecture, calibrator, {
    async embedding() {
      seen.push('embedding');
      return { hidden: statesOf(10), original: statesOf(20) };
    },
    async block(block, { hidden, original }) {
      seen.push(`block ${block} ${firstOf(hidden)} ${firstOf(original)}`);
      return {
        weights: {},
        original: {},
        async site(specs) {
          for (const { role, block: own } of specs) seen.push(`${own} ${role}`);
        },
        async rest(specs) {
          seen.push(`rest ${specs.map(({ role }) => role).sort()}`);
        },
      };
    },
    async head(momentsOf) {
      expect(await momentsOf({})).toBe(moments);
      seen.push('head');
    },
  });
  const others = architecture.tensors
    .filter(({ block, role }) => block === 0 && !sites.flat().includes(role))
    .map(({ role }) => role)
    .sort();
  const ofBlock = (block: number) => [
    `block ${block} ${10 + block} ${20 + block}`,
    ...sites.flat().map((role) => `${block} ${role}`),
    `rest ${others}`,
  ];
  expect(others).toContain('attn_norm.weight');
  expect(seen).toEqual(['embedding', ...ofBlock(0), ...ofBlock(1), 'head']);
});

test('layers that are skipped at a site are neither visited nor left over', async () => {
  const [visited, left]: [string[], string[]] = [[], []];
  await walkModel(architecture, calibrator, {
    embedding: async () => ({ hidden: statesOf(0) }),
    block: async () => ({
      weights: {},
      skip: async (specs) => specs.some(({ role }) => role === 'attn_k.weight'),
      site: async (specs) => void visited.push(...specs.map(({ role }) => role)),
      rest: async (specs) => void left.push(...specs.map(({ role }) => role)),
    }),
  });
  expect(visited).toEqual(['ffn_down.weight', 'ffn_down.weight']);
  expect(left).not.toContain('attn_k.weight');
  expect(left).toContain('attn_norm.weight');
});
