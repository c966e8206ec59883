// A unit's bookmark with its note, and the page that lists all of them.
import { exported } from "./data";
import { csv, save } from "./files";
import { useNotes } from "./notes";
import { Link } from "./route";
import type { Study } from "./types";

export function Bookmark({ unit }: { unit: string }) {
  const { notes, change } = useNotes();
  const marked = Object.hasOwn(notes, unit);
  return <button type="button" aria-pressed={marked} title="Kept by this browser, and listed under Notes" onClick={() => change(unit, marked ? null : "")}>{marked ? "Bookmarked" : "Bookmark"}</button>;
}

/** What somebody wrote about a unit; nothing of one that is not bookmarked. */
export function NoteBox({ unit }: { unit: string }) {
  const { notes, change } = useNotes();
  if (!Object.hasOwn(notes, unit)) return null;
  return <input class="test note" aria-label={`Note on ${unit}`} placeholder="a note of yours" value={notes[unit].text} maxLength={2000} onInput={(event) => change(unit, event.currentTarget.value)} />;
}

/** How many there are, in the head of every page. */
export function NotesLink({ here }: { here: boolean }) {
  const count = Object.keys(useNotes().notes).length;
  return <Link to="/notes" class={here ? "here" : ""}>Notes{count ? ` (${count})` : ""}</Link>;
}

export function NotesPage({ study }: { study: Study }) {
  const { notes, change } = useNotes();
  const units = Object.keys(notes).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const rows = units.map((unit) => ({ unit, note: notes[unit].text, since: notes[unit].since }));
  return (
    <main class="notes">
      <h1>Notes <span>on units of {study.name}</span></h1>
      <p class="faint">This browser alone keeps them, under this study. Save them as a file to keep them elsewhere, or to give them to somebody.{exported && " Pages that are files keep them as long as the browser lets them."}</p>
      {units.length === 0 ? <p>There are none. “Bookmark” on a unit’s page makes one.</p> : (
        <>
          <p class="ways">
            <button type="button" onClick={() => save(`${study.name}-notes.csv`, csv([["unit", "note", "since"], ...rows.map((row) => Object.values(row))]))}>Save as CSV</button>
            <button type="button" onClick={() => save(`${study.name}-notes.json`, JSON.stringify({ study: study.name, id: study.id, notes: rows }, null, 2), "application/json")}>Save as JSON</button>
          </p>
          <ol>{units.map((unit) => (
            <li key={unit}><Link to={`/${unit.split("/").map(encodeURIComponent).join("/")}`}>{unit}</Link><NoteBox unit={unit} /><button type="button" aria-label={`Remove ${unit}`} onClick={() => change(unit, null)}>×</button></li>
          ))}</ol>
        </>
      )}
    </main>
  );
}
