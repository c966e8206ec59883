// Small figures in SVG.
import { Term } from "./glossary";
import { number } from "./format";

export const COLOURS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"];

export function Histogram({ counts, label, from, to }: { counts: number[]; label: string; from: string; to: string }) {
  const highest = Math.max(...counts, 1);
  return (
    <figure class="histogram">
      <svg viewBox={`0 0 ${counts.length * 6} 60`} preserveAspectRatio="none" role="img" aria-label={label}>
        {counts.map((count, place) => {
          // Square roots, so that a rare strength is seen beside a common one.
          const height = 58 * Math.sqrt(count / highest);
          return <rect key={place} x={place * 6 + 0.5} y={60 - height} width={5} height={height}><title>{count}</title></rect>;
        })}
      </svg>
      <figcaption><span>{from}</span><span>{label}</span><span>{to}</span></figcaption>
    </figure>
  );
}

/** How the scores of two groups are spread, over each other: shares of each group, in steps of a twentieth. */
export function Spreads({ groups, label }: { groups: { name: string; colour: number; scores: number[] }[]; label: string }) {
  const lowest = Math.min(0, ...groups.map(({ scores }) => Math.floor(20 * Math.min(0, ...scores)) / 20)), bins = Math.round(20 * (1 - lowest));
  const shares = groups.map(({ scores }) => {
    const counts = new Array<number>(bins).fill(0);
    for (const score of scores) counts[Math.max(0, Math.min(bins - 1, Math.floor(20 * (score - lowest))))] += 1;
    return counts.map((count) => count / Math.max(1, scores.length));
  });
  const highest = Math.max(...shares.flat(), 1e-9);
  const x = (score: number) => 40 + (500 * (score - lowest)) / (1 - lowest), y = (share: number) => 140 - (130 * share) / highest;
  const outline = (all: number[]) => `M${x(lowest)} 140` + all.map((share, at) => `V${y(share)}H${x(lowest + (at + 1) / 20)}`).join("") + "V140";
  const ticks = Array.from({ length: Math.floor(4 * (1 - lowest)) + 1 }, (_, at) => 1 - at / 4);
  return (
    <figure class="spreads">
      <figcaption>{label} <small>share of each one’s units</small></figcaption>
      <svg viewBox="0 0 560 172" role="img" aria-label={label}>
        <line class="grid" x1={40} x2={540} y1={140} y2={140} /><text x={36} y={y(highest) + 3} text-anchor="end">{Math.round(100 * highest)}%</text><text x={36} y={143} text-anchor="end">0</text>
        {ticks.map((tick) => <text key={tick} x={x(tick)} y={154} text-anchor="middle">{tick}</text>)}
        <text x={290} y={168} text-anchor="middle">score</text>
        {groups.map(({ name, colour }, at) => <path key={name} d={outline(shares[at])} style={{ stroke: COLOURS[colour % 6], fill: COLOURS[colour % 6] }}><title>{name}</title></path>)}
      </svg>
    </figure>
  );
}

export interface Curve { name: string; dashed: boolean; colour: number; points: { mean: number; low: number; high: number }[] }

/** Ends and ticks of an axis that holds all intervals. */
function axis(values: number[]): { low: number; high: number; ticks: number[] } {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const step = [0.02, 0.05, 0.1, 0.2, 0.5].find((one) => (most - least) / one <= 5) ?? 1;
  const low = Math.floor(least / step) * step, count = Math.max(1, Math.ceil((most - low) / step - 1e-9));
  return { low, high: low + count * step, ticks: Array.from({ length: count + 1 }, (_, at) => Number((low + at * step).toFixed(2))) };
}

export function Curves({ curves, title, layers }: { curves: Curve[]; title: string; layers: number }) {
  const drawn = curves.filter((curve) => curve.points.length);
  if (!drawn.length) return null;
  const { low, high, ticks } = axis(drawn.flatMap((curve) => curve.points.flatMap((point) => [point.low, point.high, point.mean])).filter(Number.isFinite));
  // Models stand a little apart, so that their intervals do not hide one another.
  const x = (layer: number, at: number) => 52 + (layers > 1 ? (layer * 226) / (layers - 1) : 113) + (at - (drawn.length - 1) / 2) * 4;
  const y = (value: number) => 128 - (118 * (value - low)) / (high - low);
  return (
    <figure class="curves">
      <figcaption><Term name={title} /></figcaption>
      <svg viewBox="0 0 300 166" role="img" aria-label={`${title}: mean score by layer`}>
        {ticks.map((tick) => (
          <g key={tick}><line class="grid" x1={40} x2={296} y1={y(tick)} y2={y(tick)} /><text x={36} y={y(tick) + 3} text-anchor="end">{tick}</text></g>
        ))}
        {Array.from({ length: layers }, (_, layer) => <text key={layer} x={x(layer, (drawn.length - 1) / 2)} y={146} text-anchor="middle">{layer}</text>)}
        <text x={168} y={162} text-anchor="middle">layer</text>
        <text transform="translate(9 70) rotate(-90)" text-anchor="middle">mean score</text>
        {drawn.map((curve, at) => (
          <g key={curve.name} class={curve.dashed ? "dashed" : ""} style={{ color: COLOURS[curve.colour % 6] }}>
            <polyline points={curve.points.map((point, layer) => `${x(layer, at)},${y(point.mean)}`).join(" ")} />
            {curve.points.map((point, layer) => (
              <g key={layer}>
                <path d={`M${x(layer, at)} ${y(point.low)}V${y(point.high)}M${x(layer, at) - 3} ${y(point.low)}h6M${x(layer, at) - 3} ${y(point.high)}h6`} />
                <circle cx={x(layer, at)} cy={y(point.mean)} r={2.2}><title>{`${curve.name}, layer ${layer}: ${number(point.mean)} [${number(point.low)}, ${number(point.high)}]`}</title></circle>
              </g>
            ))}
          </g>
        ))}
      </svg>
    </figure>
  );
}

/** A score from −1 or 0 to 1 as a dot on its interval. */
export function Dot({ score, low, high }: { score: number | null; low: number | null; high: number | null }) {
  if (score === null) return <svg class="dot" />;
  const x = (value: number) => 2 + 96 * Math.max(0, Math.min(1, value));
  return (
    <svg class="dot" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">
      <line class="grid" x1={2} x2={98} y1={6} y2={6} />
      {low !== null && high !== null && <line class="interval" x1={x(low)} x2={x(high)} y1={6} y2={6} />}
      <rect x={x(score) - 1} y={1} width={2} height={10} />
    </svg>
  );
}
