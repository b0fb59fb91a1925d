// Pictures of the shipped workflows after a run: workflows/<name>.jpg, and docs/canvas.jpg for the README.
//
// Usage: node tests/browser/screenshots.mjs URL [name...]     URL: a running ComfyUI with this pack
// Without names: every workflow; those whose model or files are not there are shown as loaded, without results.
import { mkdir, readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { fitView, load, missing, openCanvas, run } from "./canvas.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LONGEST = 10; // minutes: train_judge takes two or three
const [url, ...asked] = process.argv.slice(2);
const files = (await readdir(`${ROOT}workflows`)).filter((file) => file.endsWith(".json"));
const names = asked.length ? asked : files.map((file) => file.slice(0, -".json".length));

const { browser, page } = await openCanvas({ url, width: 2400, height: 1800 });
for (const name of names) {
  await load(page, JSON.parse(await readFile(`${ROOT}workflows/${name}.json`, "utf8")), name);
  const absent = await missing(page);
  const outcome = absent.length ? `not run, this host has no ${absent.join(", ")}` : await run(page, LONGEST);
  await page.keyboard.press("Escape"); // what failed leaves a dialog over this picture and the next ones
  await page.waitForTimeout(1000);
  const clip = await fitView(page);
  await page.screenshot({ path: `${ROOT}workflows/${name}.jpg`, type: "jpeg", quality: 88, clip });
  if (name === "text_to_image") {
    await mkdir(`${ROOT}docs`, { recursive: true });
    await page.screenshot({ path: `${ROOT}docs/canvas.jpg`, type: "jpeg", quality: 90, clip });
  }
  console.log(`${name}: ${outcome}`);
}
await browser.close();
