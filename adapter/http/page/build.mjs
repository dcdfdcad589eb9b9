// Builds ../assets from this folder. The first line of what it writes says of which source it is; a test compares both.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = new URL("./", import.meta.url);
const files = ["package-lock.json", "build.mjs", ...readdirSync(new URL("src/", here)).map((name) => `src/${name}`)].sort();
const digest = createHash("sha256");
for (const name of files) digest.update(`${name}\0`).update(readFileSync(new URL(name, here))).update("\0");
const said = `/* source: ${digest.digest("hex")} */`;

const out = process.argv[2] ?? new URL("../assets/", here).pathname;
const result = await build({
  metafile: true,
  absWorkingDir: here.pathname,
  entryPoints: { console: "src/main.tsx", "console-style": "src/style.css" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome110", "firefox115", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  alias: { react: "preact/compat", "react-dom": "preact/compat", "react/jsx-runtime": "preact/jsx-runtime" },
  define: { "process.env.NODE_ENV": '"production"' },
  banner: { js: said, css: said },
  legalComments: "none",
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) {
  writeFileSync(`${out}/${name}`, readFileSync(new URL(`src/${name}`, here)));
}
// What is bundled is others' work under licences that want to be told.
const packages = Object.keys(result.metafile.inputs)
  .map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
  .filter(Boolean);
const licences = [...new Set(packages)].sort().map((name) => {
  const folder = new URL(`node_modules/${name}/`, here);
  const { version, license } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
  const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  const text = file ? readFileSync(new URL(file, folder), "utf8").trim() : license;
  return `${name} ${version} (${license ?? "see below"})\n\n${text}\n`;
});
writeFileSync(`${out}/LICENSES.txt`, licences.join(`\n${"-".repeat(80)}\n\n`));
