// All units of the study as points: how far each depends on its token, against how well it is explained.
import { COLOURS } from "./charts";
import { unitAt } from "./find";
import { Term } from "./glossary";
import { number } from "./format";
import { go } from "./route";
import type { Hit } from "./search";
import type { Layer, Study } from "./types";

const MOST = 4000;
const WIDTH = 560, HEIGHT = 300, LEFT = 44, BOTTOM = 34, TOP = 8;
interface Point extends Hit { share: number; score: number }

function pointsOf(layers: Layer[], study: Study): Point[] {
  const { explainer, metric } = study.primary;
  const all = layers.flatMap((layer) => (layer.scores[explainer]?.[metric] ?? []).flatMap((score, unit) => {
    const share = layer.token_share[unit];
    return score === null || share === null || share === undefined ? [] : [{ layer, unit, share, score }];
  }));
  const step = Math.max(1, Math.ceil(all.length / MOST));
  return all.filter((_, at) => at % step === 0);
}

export function Scatter({ study, layers, names }: { study: Study; layers: Layer[]; names: string[] }) {
  const points = pointsOf(layers, study);
  const lowest = Math.min(0, ...points.map((point) => point.score));
  const x = (share: number) => LEFT + (WIDTH - LEFT - 8) * Math.max(0, Math.min(1, share));
  const y = (score: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (score - lowest) / (1 - lowest));
  const open = (event: MouseEvent) => {
    const at = (event.target as SVGElement).dataset.at;
    if (at !== undefined) go(unitAt(points[Number(at)]));
  };
  if (!points.length) return null;
  return (
    <figure class="scatter">
      <figcaption>Every unit: <Term name="token share" /> against <Term name="score" /> <small>{study.primary.metric} by {study.primary.explainer}; {points.length.toLocaleString("en")} units; click one to open it</small></figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label="Scatter of token share and score of all units. The lists of layers hold the same numbers." onClick={open}>
        {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
          <g key={tick}>
            <line class="grid" x1={LEFT} x2={WIDTH - 8} y1={y(tick)} y2={y(tick)} /><text x={LEFT - 6} y={y(tick) + 3} text-anchor="end">{tick}</text>
            <text x={x(tick)} y={HEIGHT - 20} text-anchor="middle">{tick}</text>
          </g>
        ))}
        <text x={(LEFT + WIDTH) / 2} y={HEIGHT - 6} text-anchor="middle">token share: how far the current token alone decides</text>
        <text transform={`translate(11 ${HEIGHT / 2 - 12}) rotate(-90)`} text-anchor="middle">score</text>
        {points.map((point, at) => (
          <circle key={at} data-at={at} cx={x(point.share)} cy={y(point.score)} r={2.6} style={{ fill: COLOURS[Math.max(0, names.indexOf(point.layer.model)) % 6] }}>
            <title>{`${unitAt(point).slice(1)}: score ${number(point.score, 2)}, token share ${number(point.share, 2)}`}</title>
          </circle>
        ))}
      </svg>
    </figure>
  );
}
