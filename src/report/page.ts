import {
  formatBytes,
  formatChange,
  formatCount,
  formatDivergence,
  formatDuration,
  formatPercent,
  significant,
} from '../numbers.js';
import { drawings, histogram, sizesAndCosts } from './charts.js';
import type { Findings, Front, Quality, TensorFinding, Texts } from './findings.js';
import { type Html, html, raw } from './html.js';
import { bitsSection, errorSection } from './layer-maps.js';
import { style } from './style.js';

/**
 * The report as one HTML file that needs nothing else: no scripts, no fonts, no pictures from elsewhere. Charts are
 * drawn twice, for screens and for phones; colours follow the reader's choice of light or dark.
 */
export function renderPage(findings: Findings): string {
  const { model, quality, embeddings, front, texts, tensors } = findings;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>${nameOf(model)}: compression report</title>
<style>${raw(style)}</style>
</head>
<body>
<h1>${nameOf(model)}</h1>
${lead(findings)}
${verdict(findings)}
${figures(findings)}
${sizes(findings)}
${bitsSection(tensors)}
${errorSection(tensors, (quality ?? embeddings)?.text)}
${front && frontSection(front, findings)}
${quality && histogramSection(quality)}
${texts && textSection(texts)}
${recipeSection(findings)}
${commandSection(findings)}
${tensorSection(tensors)}
<footer>Written by tersor${version(findings)}.</footer>
</body>
</html>
`;
  return page.markup;
}

const nameOf = (path: string) => path.split(/[\\/]/).findLast((part) => part !== '') ?? path;

const version = ({ provenance }: Findings) => (provenance.version ? ` ${provenance.version}` : '');

function lead({ original, architecture, parameters, format, bytes, quality, embeddings }: Findings): Html {
  const of = original ? `, ${formatPercent(bytes / original.bytes)} of ${nameOf(original.model)}` : '';
  const about = `${architecture}, ${formatCount(parameters)} weights, ${format}: ${formatBytes(bytes)}${of}.`;
  const text = quality
    ? ` Measured on ${formatCount(quality.tokens)} tokens of ${quality.text}.`
    : embeddings
      ? ` Measured on ${formatCount(embeddings.texts)} sentences of ${embeddings.text}.`
      : '';
  return html`<p class="lead">${about}${text}</p>`;
}

/** What was lost, for those to whom divergences say nothing. */
function verdict({ original, quality, embeddings }: Findings): Html | undefined {
  if (!original) return undefined;
  const share = quality?.sameTop ?? embeddings?.retrieval.top1;
  if (share === undefined) return undefined;
  const what = quality
    ? 'Of the tokens that it would choose first'
    : 'Of the sentences that are nearest to one';
  return html`<p>${what}, ${ratio(1 - share)} than with the original.</p>`;
}

/** A share in words: 0.083 is “1 in 12 is another”. */
function ratio(share: number): string {
  if (share <= 0) return 'none is another';
  if (share > 0.4) return `${formatPercent(share)} are others`;
  return `1 in ${formatCount(Math.round(1 / share))} is another`;
}

function figures({ bytes, bitsPerWeight, original, quality, embeddings }: Findings): Html {
  const { divergence, reference, sameTop } = quality ?? {};
  const figure = (name: string, value: string, more = '') =>
    html`<div><dt>${name}</dt><dd>${unbroken(value)}</dd><dd>${unbroken(more)}</dd></div>`;
  return html`<dl class="figures">
${figure('Size', formatBytes(bytes), original ? `of ${formatBytes(original.bytes)}` : '')}
${figure('Bits per weight', significant(bitsPerWeight, 3), original ? `of ${significant(original.bitsPerWeight, 3)}` : '')}
${
  quality &&
  figure(
    'Perplexity',
    significant(quality.perplexity, 4),
    reference
      ? `original ${significant(reference.perplexity, 4)}, ${formatChange(reference.perplexity, quality.perplexity)}`
      : '',
  )
}
${divergence && figure('Divergence', formatDivergence(divergence.mean), `± ${formatDivergence(divergence.standardError, 2)} nats per token`)}
${embeddings && figure('Cosine', embeddings.cosine.mean.toFixed(4), `with the original’s embeddings, worst ${embeddings.cosine.min.toFixed(4)}`)}
${embeddings && figure('Same nearest', formatPercent(embeddings.retrieval.top1), 'of the sentences find the same nearest one')}
${sameTop === undefined ? undefined : figure('Same top token', formatPercent(sameTop), 'of the positions')}
</dl>`;
}

/** Numbers stay on a line with their units. */
const unbroken = (text: string) => text.replace(/(\d|±) (?=%|[kMGT]?B|\d)/g, '$1\u00a0');

function sizes({ bytes, original }: Findings): Html | undefined {
  if (!original) return undefined;
  const bar = (name: string, size: number) =>
    html`<div><span>${name}</span><b style="width:${((100 * size) / Math.max(bytes, original.bytes)).toFixed(2)}%"></b><span>${formatBytes(size)}</span></div>`;
  return html`<div class="sizes">${bar('original', original.bytes)}${bar('compressed', bytes)}</div>`;
}

/** Divergences that nobody can tell from none, and that would take most of a logarithmic axis. */
const negligible = 1e-4;

function frontSection({ points, chosen, search, objective }: Front, findings: Findings): Html {
  const { bytes, quality, embeddings } = findings;
  const divergence = embeddings ? 1 - embeddings.cosine.mean : quality?.divergence?.mean;
  const chart = {
    cost: objective === 'embedding' ? 'one less the cosine' : 'divergence, nats',
    points: points.filter((point) => point.divergence >= negligible),
    expected: chosen,
    ...(divergence ? { measured: { bytes, divergence } } : {}),
  };
  return html`<h2>What other sizes would cost</h2>
<figure>
${drawings((width) => sizesAndCosts(chart, width))}
<ul class="legend"><li><i class="line"></i>expected at other sizes</li><li><i class="ring"></i>expected of this file</li>${divergence && html`<li><i class="dot"></i>measured</li>`}</ul>
<figcaption>The line is the front that the search (${search}) saw: the least loss that it expects at each size, as the sum of what each tensor alone does to the model, scaled to the whole model at the choice.${divergence && ' Expectations are of held-out calibration text; the measured point is of this report’s text.'}</figcaption>
</figure>`;
}

function histogramSection({ divergence, histogram: bins, tokens }: Quality): Html | undefined {
  if (!divergence || !bins) return undefined;
  const marks = [
    { name: 'half are below', value: divergence.p50, line: 'dashed' },
    { name: 'mean', value: divergence.mean, line: 'solid' },
    { name: '99 % are below', value: divergence.p99, line: 'dotted' },
  ] as const;
  const visible = marks.filter(({ value }) => value > 0);
  return html`<h2>How far predictions moved</h2>
<figure>
${drawings((width) => histogram(bins, visible, width))}
<ul class="legend">${visible.map(({ name, value, line }) => html`<li><i class="line mark" style="border-top-style:${line}"></i>${unbroken(name)} ${significant(value, 2)}</li>`)}</ul>
<figcaption>KL divergence of the next-token distribution from the original's, at each of ${formatCount(tokens)} positions. 90 % are below ${formatDivergence(divergence.p90, 2)}, the worst is ${formatDivergence(divergence.max, 2)}.</figcaption>
</figure>`;
}

function textSection({ prompt, original, compressed }: Texts): Html {
  const column = (title: string, text: string, other: string | undefined) => {
    const same = other === undefined ? text.length : sharedLength(text, other);
    const [before, after] = [text.slice(0, same), text.slice(same)];
    return html`<article><h3>${title}</h3><p><span>${prompt}</span>${before}${after && html`<mark>${after}</mark>`}</p></article>`;
  };
  return html`<h2>The same prompt, twice</h2>
<div class="texts">${original === undefined ? undefined : column('original', original, compressed)}${column('compressed', compressed, original)}</div>
<p class="note">The likeliest token each time${original === undefined ? '' : original === compressed ? '; the two texts are the same' : ', marked from where they part'}.</p>`;
}

/** How much two texts have in common, in whole words. */
function sharedLength(a: string, b: string): number {
  if (a === b) return a.length;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return Math.max(0, a.lastIndexOf(' ', at) + 1);
}

function recipeSection({ recipe, provenance, run, format }: Findings): Html | undefined {
  const pairs = [
    ...Object.entries(recipe ?? {}).map(([key, value]) => [
      words(key),
      typeof value === 'object' ? JSON.stringify(value) : String(value),
    ]),
    ...(provenance.calibration
      ? [['calibration', `tokens with the fingerprint ${provenance.calibration}`]]
      : []),
    ...(provenance.version ? [['made by', `tersor ${provenance.version}`]] : []),
    ...(run
      ? [['took', `${formatDuration(run.seconds)}, at most ${formatBytes(run.peakMemoryBytes)} of memory`]]
      : []),
    ...(run?.verified
      ? [
          [
            'verified',
            `${run.verified.runtime} opens the file; its predictions differ from tersor's by a divergence of ${formatDivergence(run.verified.meanDivergence, 2)} on ${formatCount(run.verified.tokens)} tokens`,
          ],
        ]
      : []),
  ];
  if (pairs.length === 0) {
    return html`<h2>How it was made</h2><p>The ${format} does not say; it was not made by tersor.</p>`;
  }
  return html`<h2>How it was made</h2>
<table class="pairs">${pairs.map(([key, value]) => html`<tr><th>${key}</th><td>${value}</td></tr>`)}</table>`;
}

/** maxDivergence → max divergence */
const words = (key: string) => key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function commandSection({ commands }: Findings): Html {
  return html`<h2>To repeat it</h2>
${commands.map(({ line, meaning }) => html`<p class="note">${meaning}</p><pre>${unhyphenated(line)}</pre>`)}`;
}

/** Words that lines break between, not behind their dashes. */
const unhyphenated = (line: string): Html[] =>
  line.split(' ').map((word, index) => html`${index > 0 ? ' ' : ''}<span>${word}</span>`);

function tensorSection(tensors: readonly TensorFinding[]): Html {
  const row = ({ name, type, bitsPerWeight, bytes, relativeError }: TensorFinding) =>
    html`<tr><td>${name}</td><td>${type}</td><td class="number">${significant(bitsPerWeight, 3)}</td><td class="number">${formatCount(bytes)}</td><td class="number">${relativeError === undefined ? '' : formatPercent(relativeError)}</td></tr>
`;
  return html`<h2>Every tensor</h2>
<details><summary>${tensors.length} tensors</summary>
<div class="scroll"><table>
<tr><th>tensor</th><th>type</th><th class="number">bits</th><th class="number">bytes</th><th class="number">relative error</th></tr>
${tensors.map(row)}</table></div></details>`;
}
