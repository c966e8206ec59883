// A unit's scores: a row an explainer, by metric, with their intervals.
import { Dot } from "./charts";
import { number } from "./format";
import { Term } from "./glossary";
import { said } from "./shell";
import type { Judge, Score } from "./types";

export function Scores({ scores, judge = null }: { scores: Score[]; judge?: Judge | null }) {
  const metrics = [...new Set(scores.map((one) => one.metric))];
  return (
    <section>
      <h2>Scores</h2>
      <table class="scores">
        <tbody>
          {metrics.map((metric) => scores.filter((one) => one.metric === metric).map((one, at) => (
            <tr key={metric + one.explainer} class={at ? "" : "first"}>
              <th scope="row">{at ? <span class="hidden">{metric}</span> : <Term name={metric} />}</th><td><Term name={one.explainer}>{said(one.explainer, judge)}</Term>{one.failed ? <small> {one.failed} failed</small> : ""}</td>
              <td class="n" title={one.low === null ? "" : `95% interval ${number(one.low)} to ${number(one.high)}`}>{one.status && one.status !== "scored" ? <em><Term name={one.status} /></em> : number(one.score)}</td>
              <td><Dot score={one.score} low={one.low} high={one.high} /></td>
            </tr>
          )))}
        </tbody>
      </table>
    </section>
  );
}
