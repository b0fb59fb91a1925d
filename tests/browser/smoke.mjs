// What one frontend makes of our nodes and workflows, as JSON on stdout; test_canvas.py judges it.
//
// Usage: node smoke.mjs URL LOCALE canvas|vue WORKFLOW.json...     The first workflow is also run.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

import { load, openCanvas, prompt, run } from "./canvas.mjs";

const [url, locale, mode, ...files] = process.argv.slice(2);
const { browser, page, errors } = await openCanvas({ url, locale, vueNodes: mode === "vue" });
const facts = { prompts: {} };

facts.registered = await page.evaluate(() =>
  Object.keys(window.LiteGraph.registered_node_types).filter((id) => id.startsWith("AIGC_")),
);
facts.titles = await page.evaluate(() =>
  Object.fromEntries(
    Object.entries(window.LiteGraph.registered_node_types)
      .filter(([id]) => id.startsWith("AIGC_"))
      .map(([id, type]) => [id, type.title]),
  ),
);
facts.labels = await page.evaluate(() => {
  const node = window.LiteGraph.createNode("AIGC_Sample");
  return Object.fromEntries([...node.inputs, ...node.widgets].map((part) => [part.name, part.label]));
});
for (const file of files.toReversed()) {
  const name = basename(file, ".json");
  await load(page, JSON.parse(await readFile(file, "utf8")), name);
  facts.prompts[name] = await prompt(page);
}
facts.run = await run(page);
// The pictures are fetched after the run has ended; how soon depends on how busy the machine is.
const pictures = () => {
  const drawn = window.app.graph._nodes.flatMap((node) => node.imgs ?? []);
  const shown = [...document.querySelectorAll("img")].filter(({ src }) => src.includes("/view?"));
  return [...drawn, ...shown].filter((image) => image.naturalWidth > 0).length;
};
await page.waitForFunction(pictures, null, { timeout: 30_000 }).catch(() => {});
facts.pictures = await page.evaluate(pictures);
facts.text = await page.evaluate(() =>
  [...document.querySelectorAll("pre.aigc-text")].filter((e) => e.checkVisibility()).map((e) => e.textContent),
);
facts.errors = errors;
await browser.close();
console.log(JSON.stringify(facts));
