// Stops the build where the page holds a package's code that THIRD_PARTY_NOTICES.md does not name with its licence.
import { readdirSync, readFileSync } from "node:fs";

const NOTICES = "../THIRD_PARTY_NOTICES.md";
const PACKAGE = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/;

/** The packages that the modules of a bundle are from. */
function packagesIn(bundle) {
  const modules = Object.values(bundle).flatMap((chunk) => Object.keys(chunk.modules ?? {}));
  return new Set(modules.flatMap((module) => PACKAGE.exec(module)?.[1] ?? []));
}

/** What must be in the notices for a package: its name with its version, and its licence's text. */
function owed(name) {
  const folder = `node_modules/${name}`;
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${folder} holds no licence: find it, and add it to ${NOTICES}.`);
  return [`${name} ${version}`, readFileSync(`${folder}/${file}`, "utf8").trim()];
}

export default {
  name: "notices",
  generateBundle(_, bundle) {
    const notices = readFileSync(NOTICES, "utf8");
    for (const name of packagesIn(bundle)) {
      const [title, licence] = owed(name);
      if (!notices.includes(title)) this.error(`The page contains ${title}, which ${NOTICES} does not name.`);
      if (!notices.includes(licence)) this.error(`${NOTICES} lacks the text of the licence of ${title}.`);
    }
  },
};
