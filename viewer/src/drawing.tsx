// The way from the text up to a unit, drawn: tokens at the bottom, units by layer above, lines as wide as their share.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { marked } from "./format";
import { Link } from "./route";
import type { Contributor, Source, Trace, Why } from "./types";

interface Node { source: Source; path: Source[] }
interface Line { from: string; to: string; share: number }
const ROOM = 70, HEIGHT = 84, FIRST = 6, SECOND = 3;

const keyOf = (one: Source): string => `${one.kind} ${one.layer}/${one.unit} ${one.position}`;

/** The strongest contributors and theirs, as many in a row as there is room for. */
function chosen(why: Why, fits: number): { nodes: Map<string, Node>; lines: Line[] } {
  const nodes = new Map<string, Node>([[keyOf(why.target), { source: why.target, path: [] }]]);
  const lines: Line[] = [];
  const traces = new Map(why.traces.map((one) => [keyOf(one.node), one]));
  const add = (trace: Trace, path: Source[], count: number): Contributor[] => trace.contributors.slice(0, count).filter((one) => {
    const row = [...nodes.values()].filter((other) => other.source.layer === one.layer).length;
    if (!nodes.has(keyOf(one)) && row >= fits) return false;
    if (!nodes.has(keyOf(one))) nodes.set(keyOf(one), { source: one, path: [...path, one] });
    lines.push({ from: keyOf(one), to: keyOf(trace.node), share: one.share ?? 0 });
    return true;
  });
  for (const one of add(why.traces[0], [], FIRST)) {
    const below = traces.get(keyOf(one));
    if (below) add(below, [one], SECOND);
  }
  return { nodes, lines };
}

function useWidth() {
  const box = useRef<HTMLElement>(null);
  const [width, set] = useState(0);
  useLayoutEffect(() => {
    const seen = new ResizeObserver(() => set(box.current?.clientWidth ?? 0));
    seen.observe(box.current!);
    return () => seen.disconnect();
  }, []);
  return { box, width };
}

export function Drawing({ why, follow }: { why: Why; follow: (path: Source[]) => string }) {
  const { box, width } = useWidth();
  const { nodes, lines } = chosen(why, Math.max(3, Math.floor(width / ROOM)));
  const layers = [...new Set([...nodes.values()].map((one) => one.source.layer))].sort((a, b) => b - a);
  const at = new Map<string, [number, number]>();
  layers.forEach((layer, row) => {
    const level = [...nodes].filter(([, one]) => one.source.layer === layer).sort(([, a], [, b]) => a.source.position - b.source.position || a.source.unit - b.source.unit);
    level.forEach(([key], place) => at.set(key, [((place + 0.5) * width) / level.length, 28 + row * HEIGHT]));
  });
  const cut = why.traces[0].contributors.some((one) => one.kind === "unit");
  const height = 56 + (layers.length - 1) * HEIGHT;
  return (
    <figure class="drawing" ref={box}>
      {width > 0 && (
        <svg width={width} height={height} role="group" aria-label="The strongest contributors and theirs, from the text at the bottom to the unit at the top">
          {lines.map((line, place) => {
            const [x, y] = at.get(line.from)!, [X, Y] = at.get(line.to)!;
            return <path key={place} class={line.share < 0 ? "less" : ""} d={`M${x},${y - 18} C${x},${(y + Y) / 2} ${X},${(y + Y) / 2} ${X},${Y + 18}`} stroke-width={1 + 9 * Math.min(1, Math.abs(line.share))}><title>{(100 * line.share).toFixed(1)}%</title></path>;
          })}
          {[...nodes].map(([key, one]) => <Box key={key} why={why} node={one} at={at.get(key)!} follow={follow} />)}
        </svg>
      )}
      <figcaption>The strongest contributors{why.traces.length > 1 ? " and theirs." : cut ? ". Theirs take too long on a text of this length: click one to go on." : "."} A line is as wide as its share of what it leads to; <span class="dashes">dashed</span> lines hold down.</figcaption>
    </figure>
  );
}

function Box({ why, node, at: [x, y], follow }: { why: Why; node: Node; at: [number, number]; follow: (path: Source[]) => string }) {
  const { source, path } = node, token = marked(why.tokens[source.position]);
  const cut = (text: string) => (text.length > 9 ? text.slice(0, 8) + "…" : text);
  if (source.kind === "error") return <g class="node"><text x={x} y={y - 3} text-anchor="middle">missed</text><text class="token" x={x} y={y + 12} text-anchor="middle">{cut(token)}</text><title>what the autoencoder of layer {source.layer} misses on {token}</title></g>;
  if (source.kind === "position") return <g class="node"><text x={x} y={y + 4} text-anchor="middle">place {source.position}</text></g>;
  if (source.kind === "token") return <g class="node"><text class="token" x={x} y={y + 4} text-anchor="middle">{cut(token)}</text><title>{token}, position {source.position}</title></g>;
  const name = `${source.layer}/${source.unit}`;
  const box = (
    <>
      <rect x={x - 32} y={y - 18} width={64} height={36} rx={7} />
      <text class="name" x={x} y={y - 3} text-anchor="middle">{name}</text>
      <text class="token" x={x} y={y + 12} text-anchor="middle">{cut(token)}</text>
      <title>{`Why did ${name} fire on ${token}? ${why.said[name]?.explanation ?? ""}`}</title>
    </>
  );
  return path.length ? <Link stay to={follow(path)} class="node">{box}</Link> : <g class="node target">{box}</g>;
}
