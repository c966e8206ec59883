// What hands over what one sees: the address of the page, and a unit as a picture.
import { useEffect, useState } from "preact/hooks";
import { cardOf } from "./card";
import { copyPicture, copyText } from "./files";
import type { Study, Unit } from "./types";

/** A button that says for a moment what has become of its press. */
function Doing({ name, act }: { name: string; act: () => Promise<string> }) {
  const [said, say] = useState("");
  useEffect(() => { const timer = setTimeout(() => say(""), 2500); return () => clearTimeout(timer); }, [said]);
  return <button type="button" aria-live="polite" onClick={() => act().then(say, (error: Error) => say(error.message))}>{said || name}</button>;
}

const COPIED = location.protocol === "file:" ? "Copied: opens on this machine alone" : "Link copied";

export const CopyLink = () => <Doing name="Copy link" act={() => copyText(location.href).then((done) => (done ? COPIED : ""))} />;

export const CopyPicture = ({ unit, study }: { unit: Unit; study: Study }) => (
  <Doing name="Copy picture" act={async () => `Picture ${await copyPicture(`${unit.model}-${unit.layer}-${unit.unit}.png`, await cardOf(unit, study))}`} />
);
