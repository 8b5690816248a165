/** Colour scales of the heat maps, few to many, for light and dark pages: [cell, its ink]. */
const scales = {
  light: {
    bits: ['#edf3fb', '#d3e3f5', '#aecdec', '#7fb0df', '#4f8ecd', '#2b6cb0', '#174a85'],
    error: ['#faf3ec', '#f8e1c9', '#f4c69a', '#eda566', '#dd7f39', '#bd5a1c', '#8a3b10'],
    ink: ['#1b2530', '#1b2530', '#1b2530', '#1b2530', '#ffffff', '#ffffff', '#ffffff'],
  },
  dark: {
    bits: ['#16212e', '#1b3048', '#214469', '#2a5c91', '#3b7dbd', '#66a4dc', '#a5cdf2'],
    error: ['#241c15', '#3f2a18', '#61391a', '#8a4c1b', '#b9682a', '#de9150', '#f4c190'],
    ink: ['#d5dde6', '#d5dde6', '#e8eef4', '#ffffff', '#ffffff', '#10161d', '#10161d'],
  },
};

/** Colours in a scale. */
export const scaleSteps = scales.light.ink.length;

const variables = (theme: 'light' | 'dark') =>
  (['bits', 'error'] as const)
    .flatMap((scale) =>
      scales[theme][scale].map(
        (color, step) =>
          `--${scale}-${step}:${color};--${scale}-ink-${step}:${scales[theme].ink[step] ?? color};`,
      ),
    )
    .join('');

export const style = `
:root{color-scheme:light dark;--paper:#ffffff;--panel:#f5f7f9;--ink:#1b2530;--muted:#5c6874;--rule:#d9dfe5;--accent:#2b6cb0;--contrast:#bd4b12;--mark:#fdebd3;${variables('light')}}
@media (prefers-color-scheme:dark){:root{--paper:#10161d;--panel:#18212b;--ink:#e4eaf0;--muted:#9aa8b5;--rule:#2c3844;--accent:#5b9fdf;--contrast:#f0975a;--mark:#4a3118;${variables('dark')}}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:46rem;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.5rem 0 .5rem}
p{margin:.5rem 0}
.lead,figcaption,.note{color:var(--muted)}
figcaption,.note{font-size:.875rem}
figure{margin:.75rem 0}
svg{display:block;max-width:100%;height:auto;pointer-events:none}
.narrow{display:none}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.75rem;margin:1.25rem 0;padding:0}
.figures div{background:var(--panel);border-radius:.5rem;padding:.7rem .8rem}
.figures dt{font-size:.8rem;color:var(--muted)}
.figures dd{margin:0}
.figures dd:nth-of-type(1){font-size:1.35rem;font-weight:600;line-height:1.3;font-variant-numeric:tabular-nums}
.figures dd:nth-of-type(2){font-size:.8rem;color:var(--muted)}
.sizes{margin:1rem 0}
.sizes div{display:grid;grid-template-columns:6.5rem 1fr 5rem;gap:.6rem;align-items:center;font-size:.875rem;margin:.25rem 0}
.sizes b{display:block;height:.9rem;border-radius:.2rem;background:var(--accent);min-width:2px}
.sizes div:first-child b{background:var(--muted)}
.sizes span:last-child{text-align:right;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:.25rem .9rem;margin:.4rem 0 0;padding:0;list-style:none;font-size:.8rem;color:var(--muted)}
.legend i{display:inline-block;width:.9rem;height:.9rem;border-radius:.15rem;vertical-align:-.12rem;margin-right:.3rem;border:1px solid var(--rule)}
.legend .line{height:0;border:0;border-top:2px solid var(--accent);vertical-align:.25rem}
.legend .mark{width:2rem;border-color:var(--contrast)}
.legend .ring,.legend .dot{width:.8rem;height:.8rem;border-radius:50%;border:2px solid var(--contrast)}
.legend .dot{width:.65rem;height:.65rem;background:var(--contrast);vertical-align:-.02rem}
.texts{display:grid;grid-template-columns:1fr 1fr;gap:.75rem}
.texts article{background:var(--panel);border-radius:.5rem;padding:.7rem .9rem;min-width:0}
.texts h3{margin:0 0 .3rem;font-size:.8rem;font-weight:400;color:var(--muted)}
.texts p{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
.texts mark{background:var(--mark);color:inherit;border-radius:.15rem}
.texts span{color:var(--muted)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;width:100%}
th,td{text-align:left;padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--rule);vertical-align:top;white-space:nowrap}
th{font-weight:400;color:var(--muted)}
.number{text-align:right;font-variant-numeric:tabular-nums}
.pairs th{width:9rem}
.pairs td{white-space:normal;overflow-wrap:anywhere}
code,pre{font:.82rem/1.5 ui-monospace,monospace}
pre{user-select:all;background:var(--panel);border-radius:.5rem;padding:.6rem .8rem;margin:.2rem 0 .8rem;white-space:pre-wrap;overflow-wrap:anywhere}
pre span{display:inline-block;max-width:100%}
summary{cursor:pointer;color:var(--muted)}
footer{margin-top:3rem;font-size:.8rem;color:var(--muted)}
@media (max-width:47.9rem){.wide{display:none}.narrow{display:block}.texts{grid-template-columns:1fr}.figures div:last-child:nth-child(odd){grid-column:1/-1}h1{font-size:1.35rem}.sizes div{grid-template-columns:5rem 1fr 4.6rem}}
@media print{body{max-width:none}}
`;
