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

export interface Curve { name: string; dashed: boolean; colour: number; points: { mean: number; low: number; high: number }[] }

export function Curves({ curves, title, layers }: { curves: Curve[]; title: string; layers: number }) {
  const x = (layer: number) => 34 + (layers > 1 ? (layer * 250) / (layers - 1) : 125);
  const y = (value: number) => 132 - 120 * Math.max(0, Math.min(1, value));
  return (
    <figure class="curves">
      <figcaption><Term name={title} /></figcaption>
      <svg viewBox="0 0 300 152" role="img" aria-label={`${title}: mean score by layer`}>
        {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
          <g key={tick}><line class="grid" x1={28} x2={296} y1={y(tick)} y2={y(tick)} /><text x={24} y={y(tick) + 3} text-anchor="end">{tick}</text></g>
        ))}
        {Array.from({ length: layers }, (_, layer) => <text key={layer} x={x(layer)} y={148} text-anchor="middle">{layer}</text>)}
        {curves.map((curve) => (
          <g key={curve.name} class={curve.dashed ? "dashed" : ""} style={{ color: COLOURS[curve.colour % 6] }}>
            <polyline points={curve.points.map((point, layer) => `${x(layer)},${y(point.mean)}`).join(" ")} />
            {curve.points.map((point, layer) => (
              <g key={layer}>
                <line x1={x(layer)} x2={x(layer)} y1={y(point.low)} y2={y(point.high)} />
                <circle cx={x(layer)} cy={y(point.mean)} r={3}><title>{`${curve.name}, layer ${layer}: ${number(point.mean)} [${number(point.low)}, ${number(point.high)}]`}</title></circle>
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
