// Ask the browser's own graphToPrompt for the API form of every bundled workflow template.
//
// Usage: node make_conversion_oracle.mjs SERVER OUTPUT.json [NAME ...]
//   NAME    templates that are installed but not in the index
//   SERVER  a running ComfyUI without other packs, for example http://127.0.0.1:8188
//   Needs playwright-core (npm install playwright-core) and Chromium (CHROMIUM, default /usr/bin/chromium).
// Then:   xz -9e OUTPUT.json && mv OUTPUT.json.xz tests/headless/conversion_oracle.json.xz
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// playwright-core is looked up from the current directory: it is a tool here, not a dependency of the pack.
const { chromium } = createRequire(join(process.cwd(), "package.json"))("playwright-core");

const [server, output, ...extra] = process.argv.slice(2);
if (!output) throw new Error("Expected two arguments: SERVER OUTPUT.json");

const getJson = async (path) => {
  const response = await fetch(server + path);
  if (!response.ok) throw new Error(`Expected 200 from ${path}, got ${response.status}`);
  return response.json();
};
const setSetting = (id, value) =>
  fetch(`${server}/settings/${id}`, { method: "POST", body: JSON.stringify(value) });

await setSetting("Comfy.TutorialCompleted", true);
await setSetting("Comfy.Workflow.Persist", false);
await setSetting("Comfy.Workflow.ShowMissingModelsWarning", false);
await setSetting("Comfy.Workflow.ShowMissingNodesWarning", false);

const sections = await getJson("/templates/index.json");
const listed = sections.flatMap((section) => section.templates.map((template) => template.name));
const names = [...new Set([...listed, ...extra])].sort();

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage();
await page.goto(server);
await page.waitForFunction(
  () => window.LiteGraph?.registered_node_types?.["KSampler"] && window.app?.graph && window.app.extensionManager,
  null,
  { timeout: 120000 },
);
await page.waitForTimeout(2000);

const prompts = {};
const failed = {};
for (const name of names) {
  const result = await page.evaluate(async (name) => {
    try {
      const workflow = await (await fetch(`/templates/${name}.json`)).json();
      await window.app.loadGraphData(workflow);
      return { prompt: (await window.app.graphToPrompt()).output };
    } catch (error) {
      return { error: String(error) };
    }
  }, name);
  if (result.error) failed[name] = result.error;
  else prompts[name] = result.prompt;
}
await browser.close();

const objectInfo = await getJson("/object_info");
const stats = await getJson("/system_stats");
writeFileSync(
  output,
  JSON.stringify({
    comfyui: stats.system.comfyui_version,
    templates: stats.system.installed_templates_version,
    prompts,
    failed,
    object_info: objectInfo,
  }),
);
console.log(`${Object.keys(prompts).length} converted, ${Object.keys(failed).length} failed`, failed);
