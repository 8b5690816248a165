import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PlannedTensor } from '../src/pipeline/prepare/plan.js';
import { tersor } from './fixtures/command.js';
import { writeMicro } from './fixtures/micro.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-divisibility-'));
const model = join(folder, 'model');
const output = join(folder, 'model.gguf');
afterAll(() => rmSync(folder, { recursive: true }));

// The proportions of stories15M: 288 is no multiple of 256, 768 is.
const [vocabulary, hidden, intermediate] = [4096, 288, 768];
const module = (name: string) => `model.layers.0.${name}.weight`;
const tooNarrow = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up'].map(
  (name) => `blk.0.${name}.weight`,
);

beforeAll(() =>
  writeMicro(
    model,
    {
      config: {
        model_type: 'llama',
        vocab_size: vocabulary,
        hidden_size: hidden,
        intermediate_size: intermediate,
        num_hidden_layers: 1,
        num_attention_heads: 6,
        max_position_embeddings: 128,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: true,
        bos_token_id: 0,
        eos_token_id: 1,
      },
      shapes: {
        'model.embed_tokens.weight': [vocabulary, hidden],
        'model.norm.weight': [hidden],
        ...Object.fromEntries(
          ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => [
            module(`self_attn.${name}`),
            [hidden, hidden],
          ]),
        ),
        [module('mlp.gate_proj')]: [intermediate, hidden],
        [module('mlp.up_proj')]: [intermediate, hidden],
        [module('mlp.down_proj')]: [hidden, intermediate],
        [module('input_layernorm')]: [hidden],
        [module('post_attention_layernorm')]: [hidden],
      },
    },
    1,
  ),
);

const recipe = ['--tokens', '256', '--context', '64', '--solver', 'rtn', '--json'];

async function plan(...words: readonly string[]) {
  const { code, stdout } = await tersor('compress', model, ...recipe, ...words, '--dry-run');
  expect(code).toBe(0);
  return JSON.parse(stdout) as {
    readonly tensors: readonly PlannedTensor[];
    readonly problems: readonly PlannedTensor[];
    readonly bytes: number;
  };
}

test('the plan names every tensor that the blocks do not divide, and why', async () => {
  const { tensors, problems } = await plan('--type', 'q4_k');
  expect(problems.map(({ name }) => name).sort()).toEqual([...tooNarrow].sort());
  for (const { reason } of problems) {
    expect(reason).toBe("its rows of 288 are not divisible by q4_k's blocks of 256");
  }
  expect(tensors.find(({ name }) => name === 'blk.0.ffn_down.weight')).toMatchObject({ type: 'q4_k' });

  const { stdout } = await tersor('compress', model, '--type', 'q4_k', '--dry-run');
  expect(stdout).toContain('6 tensors need another type: add --fallback TYPE');
  expect(stdout).toMatch(/288 are not divisible by q4_k's blocks of 256/);
});

test('without --fallback compress stops before work starts', async () => {
  const { code, stdout, errors } = await tersor('compress', model, '-o', output, '--type', 'q4_k', ...recipe);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(errors).toMatch(/^error: [^\n]*not divisible[^\n]*5 more tensors; give --fallback TYPE[^\n]*\n$/);
  expect(existsSync(output)).toBe(false);
});

test('a fallback that does not fit either is refused, in a plan too', async () => {
  const words = ['--type', 'q4_k', '--fallback', 'q6_k', ...recipe, '--dry-run'];
  const { code, errors } = await tersor('compress', model, ...words);
  expect(code).toBe(1);
  expect(errors).toMatch(/^error: [^\n]*the fallback q6_k does not fit either[^\n]*\n$/);
});

describe('the file is what the plan said, to the byte', () => {
  test.each([
    '--type q4_k --fallback iq4_nl',
    '--type q2_k --fallback q8_0 --override ffn_down=q6_k',
    '--type q4_0',
    '--type q5_1 --embedding-type f16',
    '--type bf16',
  ])('%s', async (line) => {
    const words = line.split(' ');
    const planned = await plan(...words);
    expect(planned.problems).toEqual([]);

    const { code, stdout } = await tersor('compress', model, '-o', output, '--force', ...words, ...recipe);
    expect(code).toBe(0);
    const { tensors, bytes } = JSON.parse(stdout);
    expect(statSync(output).size).toBe(planned.bytes);
    expect(bytes).toBe(planned.bytes);
    const essence = ({ name, type, bytes: size }: { name: string; type: string; bytes: number }) =>
      `${name} ${type} ${size}`;
    expect(tensors.map(essence)).toEqual(planned.tensors.map(essence));

    const { stdout: inspected } = await tersor('inspect', output, '--json');
    const stored = JSON.parse(inspected).tensors as { name: string; type: string }[];
    for (const { name, type } of planned.tensors) {
      expect(stored).toContainEqual(expect.objectContaining({ name, type }));
    }
  });
});
