// All units of the study as points: how far each depends on its token, or reads back, against how well it is explained.
import { COLOURS } from "./charts";
import { unitAt } from "./find";
import { Term } from "./glossary";
import { number } from "./format";
import { changed, go, type Place } from "./route";
import type { Hit } from "./search";
import type { Layer, Study } from "./types";

const MOST = 4000;
const WIDTH = 560, HEIGHT = 300, LEFT = 44, BOTTOM = 34, TOP = 8;

/** What a unit's place from left to right says: `at` is from 0 to 1, null where it is not known. */
interface Axis {
  says: string;
  at: (layer: Layer, unit: number) => number | null;
  told: (layer: Layer, unit: number) => string;
  ticks: (layer: Layer) => { at: number; text: string }[];
}
interface Point extends Hit { x: number; score: number }

/** Units of the same reach lie next to each other, always in the same places. */
const apart = (unit: number): number => ((unit * 0.618034) % 1) - 0.5;
const reachText = (last: number[], at: number): string => (at < last.length ? String(last[at]) : `more than ${last[last.length - 1]}`);

const AXES: Record<string, Axis> = {
  "token share": {
    says: "how far the current token alone decides",
    at: (layer, unit) => (layer.token_share[unit] === null ? null : Math.max(0, Math.min(1, layer.token_share[unit]!))),
    told: (layer, unit) => number(layer.token_share[unit], 2),
    ticks: () => [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, text: String(at) })),
  },
  reach: {
    says: "how many last tokens tell nearly all of it",
    at: (layer, unit) => (layer.reach[unit] === null ? null : (layer.reach[unit]! + 0.5 + 0.7 * apart(unit)) / (layer.last.length + 1)),
    told: (layer, unit) => `${reachText(layer.last, layer.reach[unit]!)} tokens`,
    ticks: ({ last }) => [...last, 0].map((_, at) => ({ at: (at + 0.5) / (last.length + 1), text: reachText(last, at) })),
  },
};

function pointsOf(layers: Layer[], study: Study, axis: Axis): Point[] {
  const { explainer, metric } = study.primary;
  const all = layers.flatMap((layer) => (layer.scores[explainer]?.[metric] ?? []).flatMap((score, unit) => {
    const x = axis.at(layer, unit);
    return score === null || x === null ? [] : [{ layer, unit, x, score }];
  }));
  const step = Math.max(1, Math.ceil(all.length / MOST));
  return all.filter((_, at) => at % step === 0);
}

export function Scatter({ study, layers, names, place }: { study: Study; layers: Layer[]; names: string[]; place: Place }) {
  const measured = Object.keys(AXES).filter((name) => layers.some((layer) => Array.from({ length: layer.units }, (_, unit) => unit).some((unit) => AXES[name].at(layer, unit) !== null)));
  const asked = place.query.get("x") ?? "", name = measured.includes(asked) ? asked : measured[0];
  if (name === undefined) return null;
  const points = pointsOf(layers, study, AXES[name]);
  return points.length ? (
    <figure class="scatter">
      <figcaption>
        Every unit: {measured.length > 1 ? <select aria-label="From left to right" value={name} onChange={(event) => go(changed(place, { x: event.currentTarget.value }), true)}>{measured.map((one) => <option key={one}>{one}</option>)}</select> : name}
        <Term name={name} mark /> against <Term name="score" /> <small>{study.primary.metric} by {study.primary.explainer}; {points.length.toLocaleString("en")} units; click one to open it</small>
      </figcaption>
      <Points points={points} axis={AXES[name]} name={name} names={names} />
    </figure>
  ) : null;
}

function Points({ points, axis, name, names }: { points: Point[]; axis: Axis; name: string; names: string[] }) {
  const lowest = Math.min(0, ...points.map((point) => point.score));
  const x = (share: number) => LEFT + (WIDTH - LEFT - 8) * share;
  const y = (score: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (score - lowest) / (1 - lowest));
  const open = (event: MouseEvent) => {
    const at = (event.target as SVGElement).dataset.at;
    if (at !== undefined) go(unitAt(points[Number(at)]));
  };
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Scatter of ${name} and score of all units. The lists of layers hold the same numbers.`} onClick={open}>
      {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
        <g key={tick}><line class="grid" x1={LEFT} x2={WIDTH - 8} y1={y(tick)} y2={y(tick)} /><text x={LEFT - 6} y={y(tick) + 3} text-anchor="end">{tick}</text></g>
      ))}
      {axis.ticks(points[0].layer).map((tick) => <text key={tick.at} x={x(tick.at)} y={HEIGHT - 20} text-anchor="middle">{tick.text}</text>)}
      <text x={(LEFT + WIDTH) / 2} y={HEIGHT - 6} text-anchor="middle">{name}: {axis.says}</text>
      <text transform={`translate(11 ${HEIGHT / 2 - 12}) rotate(-90)`} text-anchor="middle">score</text>
      {points.map((point, at) => (
        <circle key={at} data-at={at} cx={x(point.x)} cy={y(point.score)} r={2.6} style={{ fill: COLOURS[Math.max(0, names.indexOf(point.layer.model)) % 6] }}>
          <title>{`${unitAt(point).slice(1)}: score ${number(point.score, 2)}, ${name} ${axis.told(point.layer, point.unit)}`}</title>
        </circle>
      ))}
    </svg>
  );
}
