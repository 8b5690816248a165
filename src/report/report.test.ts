import { expect, test } from 'vitest';
import { type Findings, logHistogram, type Quality } from './findings.js';
import { html } from './html.js';
import { renderPage } from './page.js';

const layer = (block: number, role: string, type: string, relativeError: number) =>
  ({
    name: `blk.${block}.${role}.weight`,
    kind: 'linear',
    role,
    block,
    type,
    bytes: 28_160,
    bitsPerWeight: type === 'q3_k' ? 3.4375 : 6.5625,
    relativeError,
  }) as const;

const findings: Findings = {
  model: '/models/<small>.gguf',
  format: 'gguf',
  architecture: 'llama',
  parameters: 4_196_608,
  bytes: 2_400_000,
  bitsPerWeight: 4.32,
  original: { model: './tales', bytes: 8_400_000, bitsPerWeight: 16 },
  tensors: [
    layer(0, 'attn_q', 'q3_k', 0.0123),
    layer(0, 'ffn_down', 'q6_k', 0.0002),
    layer(1, 'attn_q', 'q3_k', 0.2),
    layer(1, 'ffn_down', 'q6_k', 0),
  ],
  quality: {
    text: 'held-out.txt',
    tokens: 4064,
    perplexity: 46.79,
    reference: { perplexity: 46.13 },
    divergence: { mean: 0.044, standardError: 0.0007, p50: 0.029, p90: 0.1, p99: 0.23, max: 0.57 },
    sameTop: 0.887,
    histogram: logHistogram(Float32Array.of(0.001, 0.02, 0.03, 0.5), { from: 1e-6, to: 100, perDecade: 4 }),
  },
  front: {
    search: 'knapsack',
    objective: 'prediction',
    points: [
      { bytes: 1_500_000, divergence: 0.5 },
      { bytes: 3_000_000, divergence: 0.01 },
      { bytes: 8_000_000, divergence: 1e-15 },
    ],
    chosen: { bytes: 2_400_000, divergence: 0.03 },
  },
  texts: { prompt: 'Once upon', original: ' a time there was', compressed: ' a time <b>lived' },
  recipe: { type: 'q3_k', maxDivergence: 0.05, options: { damping: 0.02 } },
  provenance: { version: '0.1.0', calibration: 'abc123' },
  commands: [{ line: "tersor compress './a b' -o x.gguf", meaning: 'makes it' }],
};

test('the page has every figure and needs nothing else', () => {
  const page = renderPage(findings);
  for (const figure of [
    '2.40\u00a0MB',
    'of 8.40\u00a0MB',
    '28.6 % of tales',
    '46.79',
    '+1.4\u00a0%',
    '0.0440',
    '±\u00a00.00070',
    '88.7\u00a0%',
    '4,064 tokens',
    'abc123',
    'max divergence',
    '{&quot;damping&quot;:0.02}',
    '<span>&#39;./a</span> <span>b&#39;</span> <span>-o</span>',
  ]) {
    expect(page).toContain(figure);
  }
  expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|@font-face|url\(|https?:/i);
  expect(page).not.toMatch(/NaN|undefined|Infinity|\[object/);
  expect(page).toContain('@media (prefers-color-scheme:dark)');
});

test('what was lost is said in plain words', () => {
  expect(renderPage(findings)).toContain(
    '<p>Of the tokens that it would choose first, 1 in 9 is another than with the original.</p>',
  );
  const told = (sameTop: number) =>
    renderPage({ ...findings, quality: { ...(findings.quality as Quality), sameTop } });
  expect(told(1)).toContain('none is another than');
  expect(told(0.5)).toContain('50.0 % are others than');
  const { original: _, ...alone } = findings;
  expect(renderPage(alone)).not.toContain('than with the original');
});

test('commands are selected as a whole', () => {
  expect(renderPage(findings)).toMatch(/pre\{[^}]*user-select:all/);
});

test('the same findings give the same page', () => {
  expect(renderPage(findings)).toBe(renderPage(findings));
});

test('names and texts are escaped', () => {
  const page = renderPage(findings);
  expect(page).toContain('<h1>&lt;small&gt;.gguf</h1>');
  expect(page).toContain('<mark>&lt;b&gt;lived</mark>');
  expect(page).not.toContain('<b>lived');
  expect(html`<p>${['<', html`<i></i>`, 1]}</p>`.markup).toBe('<p>&lt;<i></i>1</p>');
});

test('cells have the colour of their value and its word', () => {
  const page = renderPage(findings);
  const count = (part: string) => page.split(part).length - 1;
  // Each map is drawn twice, for two widths.
  expect(count('fill="var(--bits-1)"')).toBe(4);
  expect(count('fill="var(--bits-4)"')).toBe(4);
  expect(count('fill="var(--error-6)"')).toBe(2);
  expect(count('>1.2</text>')).toBe(2);
  expect(count('>q3_k</text>')).toBe(4);
});

test('a cell says its bits where it has no room for the type', () => {
  const long = {
    ...layer(0, 'attn_q', 'q3_k', 0.01),
    type: 'int4-channel-asym-s1-and-more',
    bitsPerWeight: 4.27,
  };
  const page = renderPage({ ...findings, tensors: [long, ...findings.tensors.slice(1)] });
  const tensors = ['attn_k', 'attn_v', 'ffn_up'].map((role) => ({ ...long, role }));
  const narrow = renderPage({ ...findings, tensors: [long, ...tensors, ...findings.tensors.slice(1)] });
  expect(page.split('>int4-channel-asym-s1-and-more</text>')).toHaveLength(2);
  expect(narrow).not.toContain('>int4-channel-asym-s1-and-more</text>');
  expect(narrow.split('>4.3</text>')).toHaveLength(9);
});

test('what is not known is left out', () => {
  const { original: _, quality: __, front: ___, texts: ____, recipe: _____, ...rest } = findings;
  const page = renderPage({
    ...rest,
    tensors: rest.tensors.map(({ relativeError: ______, ...tensor }) => tensor),
    provenance: {},
  });
  expect(page).not.toMatch(/Perplexity|layer by layer|other sizes|predictions moved|same prompt/);
  expect(page).toContain('it was not made by tersor');
  expect(page).not.toMatch(/NaN|undefined/);
});

test('of an encoder the embeddings are told', () => {
  const { quality: _, texts: __, ...rest } = findings;
  const cosine = { mean: 0.99421, p10: 0.99, p1: 0.98, min: 0.9533 };
  const retrieval = { top1: 0.913, top10: 0.9, ndcg10: 0.97 };
  const page = renderPage({ ...rest, embeddings: { text: 'held-out.txt', texts: 321, cosine, retrieval } });
  for (const figure of ['321 sentences of held-out.txt', '0.9942', '0.9533', '91.3\u00a0%']) {
    expect(page).toContain(figure);
  }
  expect(page).not.toMatch(/Perplexity|predictions moved|NaN|undefined/);
});

test('counts values by the decade, those outside at the ends', () => {
  const bins = logHistogram(Float32Array.of(0, 1e-9, 0.02, 0.05, 1, 7e9), {
    from: 0.01,
    to: 100,
    perDecade: 1,
  });
  expect(bins.map(({ count }) => count)).toEqual([4, 0, 1, 1]);
  expect(bins[0]).toEqual({ from: 0.01, to: 0.1, count: 4 });
});
