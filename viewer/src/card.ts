// A unit as a picture: what is said of it, its scores, and three excerpts coloured as on its page.
import { percent, number, short, visible } from "./format";
import type { Excerpt, Study, Unit } from "./types";

const WIDTH = 880, MARGIN = 28, LINE = 24, EXCERPTS = 3, AROUND = 26;
const FONT = '15px system-ui, "Liberation Sans", sans-serif';

/** A pen that draws words in lines, one after the other, on a page as long as it has to be. */
class Pen {
  private x = MARGIN;
  y = MARGIN;
  constructor(private context: CanvasRenderingContext2D, private draws: boolean) { context.textBaseline = "middle"; }

  line(by = LINE): void { this.x = MARGIN; this.y += by; }

  word(text: string, colour: string, font = FONT, behind?: string): void {
    this.context.font = font;
    const width = this.context.measureText(text).width;
    if (this.x > MARGIN && this.x + width > WIDTH - MARGIN) this.line();
    if (this.draws) {
      if (behind) { this.context.fillStyle = behind; this.context.fillRect(this.x, this.y - 10, width, 20); }
      this.context.fillStyle = colour;
      this.context.fillText(text, this.x, this.y, WIDTH - 2 * MARGIN);
    }
    this.x += width;
  }

  words(text: string, colour: string, font = FONT): void { for (const word of text.split(/(?<=\s)/)) this.word(word, colour, font); }
}

const COLOURS = { ink: "#1d2126", faint: "#5d646c", paper: "#ffffff", line: "#e7e4de" };

/** An excerpt's tokens around the one on which the unit fires most. */
function near(excerpt: Excerpt): [number, number] {
  const most = excerpt.activations.indexOf(Math.max(...excerpt.activations));
  const first = Math.max(0, Math.min(most - AROUND + 8, excerpt.tokens.length - AROUND));
  return [first, Math.min(excerpt.tokens.length, first + AROUND)];
}

function draw(pen: Pen, unit: Unit, study: Study): void {
  const at = unit.statistics[unit.scored_on], highest = Math.max(0, ...unit.excerpts.flatMap((one) => one.activations));
  pen.word(`${unit.model}/${unit.layer}/${unit.unit}`, COLOURS.ink, "bold 22px system-ui, sans-serif");
  pen.line(30);
  const scores = unit.scores.filter((one) => one.metric === study.primary.metric && one.score !== null).map((one) => `${one.explainer} ${number(one.score, 2)}`);
  pen.words(`${study.primary.metric}: ${scores.join(", ") || "not scored"}. Fires on ${percent(at.firing_rate)} of tokens; maximum ${short(at.maximum)}.`, COLOURS.faint);
  pen.line(34);
  for (const [name, text] of Object.entries(unit.explanations).slice(0, 1)) { pen.words(`${name}: `, COLOURS.faint); pen.words(visible(text), COLOURS.ink); }
  for (const excerpt of unit.excerpts.filter((one) => one.half === unit.scored_on && one.kind === "top").slice(0, EXCERPTS)) {
    pen.line(36);
    const [first, end] = near(excerpt);
    for (let place = first; place < end; place += 1) {
      const share = highest > 0 ? Math.max(0, Math.min(1, excerpt.activations[place] / highest)) : 0;
      pen.word(visible(unit.texts[excerpt.tokens[place]]), COLOURS.ink, FONT, share > 0 ? `rgba(240, 138, 44, ${0.88 * share})` : undefined);
    }
  }
  pen.line(36);
  pen.words(`Study ${study.name}; excerpts of the ${unit.scored_on} half; colour: activation as a share of the unit’s maximum. cratelm`, COLOURS.faint, "12px system-ui, sans-serif");
}

export function cardOf(unit: Unit, study: Study): Promise<Blob> {
  const canvas = document.createElement("canvas"), scale = 2;
  const measured = new Pen(canvas.getContext("2d")!, false);
  draw(measured, unit, study); // once to see how long it is
  [canvas.width, canvas.height] = [WIDTH * scale, (measured.y + MARGIN) * scale];
  const context = canvas.getContext("2d")!;
  context.scale(scale, scale);
  context.fillStyle = COLOURS.paper;
  context.fillRect(0, 0, WIDTH, measured.y + MARGIN);
  draw(new Pen(context, true), unit, study);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("this browser cannot draw the picture."))), "image/png"));
}
