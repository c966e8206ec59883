// Bookmarked units and what somebody wrote about them: kept by this browser alone, for each study apart.
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

export interface Note { text: string; /** When it was bookmarked, as ISO 8601. */ since: string }
/** By `model/layer/index`. */
export type Notes = Record<string, Note>;

/** The study whose notes are meant. */
export const Noted = createContext("");

const CHANGED = "notes";
const keyOf = (study: string): string => `cratelm notes ${study}`;

function read(study: string): Notes {
  try { return JSON.parse(localStorage.getItem(keyOf(study)) ?? "{}") as Notes; } catch { return {}; } // no storage, or not ours
}

function write(study: string, notes: Notes): void {
  try { localStorage.setItem(keyOf(study), JSON.stringify(notes)); } catch { alert("This browser keeps nothing for this page, so it cannot keep bookmarks. Its settings for site data say why."); return; }
  window.dispatchEvent(new Event(CHANGED));
}

/** A study's notes, and how to change them: null takes a bookmark away. */
export function useNotes(): { notes: Notes; change: (unit: string, text: string | null) => void } {
  const study = useContext(Noted);
  const [notes, set] = useState(() => read(study));
  useEffect(() => {
    const update = () => set(read(study));
    for (const name of [CHANGED, "storage"]) window.addEventListener(name, update); // storage: another tab
    return () => { for (const name of [CHANGED, "storage"]) window.removeEventListener(name, update); };
  }, [study]);
  const change = (unit: string, text: string | null) => {
    const { [unit]: before, ...others } = read(study);
    write(study, text === null ? others : { ...others, [unit]: { text, since: before?.since ?? new Date().toISOString() } });
  };
  return { notes, change };
}
