import { expect, test } from 'vitest';
import { TersorError } from '../errors.js';
import { encodeChat, type Message, renderChat } from './chat.js';
import { tokenType, type Vocabulary } from './tokenizer.js';

const conversation: readonly Message[] = [
  { role: 'system', content: 'Be kind.' },
  { role: 'user', content: 'Hello!' },
];

const withTemplate = (chatTemplate?: string): Vocabulary => ({
  kind: 'bpe',
  tokens: ['<s>', '</s>'],
  types: [tokenType.control, tokenType.control],
  special: { bos: 0, eos: 1 },
  addBos: true,
  addEos: false,
  ...(chatTemplate === undefined ? {} : { chatTemplate }),
});

const render = (template?: string) => renderChat(withTemplate(template), conversation, 'model');

test('a conversation becomes the text that the template describes', async () => {
  const template =
    '{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}';
  expect(await render(template)).toBe('<s><|system|>Be kind.</s><|user|>Hello!</s><|assistant|>');
});

test.each([
  ['refuses the conversation', "{{ raise_exception('only users') }}", /only users/],
  ['is no template', '{% for %}', /template failed/],
  ['asks for what is around it', '{{ process.exit(1) }}', /template failed/],
  [
    'climbs through prototypes',
    "{{ messages.constructor.constructor('return process')().exit(1) }}",
    /template failed/,
  ],
  ['takes all memory', '{% for i in range(100000000) %}{% endfor %}', /memory/],
])('a template that %s is an error of one line', async (_what, template, message) => {
  const failure = await render(template).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(TersorError);
  expect(String(failure)).toMatch(message);
  expect(String(failure)).not.toContain('\n');
});

test('a template without an end is ended', async () => {
  const loops = '{% for i in range(30000) %}{% for j in range(30000) %}{% endfor %}{% endfor %}';
  await expect(render(loops)).rejects.toThrow(/no end after 5 s|memory/);
});

test('a model without a template says so', async () => {
  await expect(render()).rejects.toThrow('the model has no chat template');
});

test('control tokens of a rendered text become themselves, the longest first', () => {
  const tokens = ['<a>', '<a><b>', 'x', '+'];
  const { control, normal } = tokenType;
  const vocabulary = { ...withTemplate(), tokens, types: [control, control, normal, normal] };
  const encode = (text: string) => Array.from(text, (character) => tokens.indexOf(character));
  const tokenizer = { vocabulary, warnings: [], encode, decode: () => '' };
  expect(encodeChat(tokenizer, '<a><b>x+<a>x')).toEqual([1, 2, 3, 0, 2]);
  expect(encodeChat(tokenizer, 'x+')).toEqual([2, 3]);
});
