// One browser page with ComfyUI's canvas on it, and what the tests and the screenshots do there.
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
// No outside world: the frontend asks its maker's servers for news. The GPU is not there to be used.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"];

/** Open the canvas of the host at `url`. Settings go to the host first: the frontend reads them once. */
export async function openCanvas({ url, locale = "en", vueNodes = false, width = 1600, height = 900, scale = 1 }) {
  const settings = {
    "Comfy.TutorialCompleted": true,
    "Comfy.Workflow.Persist": false,
    "Comfy.Minimap.Visible": false,
    "Comfy.Graph.CanvasInfo": false,
    "Comfy.NodeBadge.NodeSourceBadgeMode": "None",
    "Comfy.Workflow.ShowMissingModelsWarning": false,
    "Comfy.Locale": locale,
    "Comfy.VueNodes.Enabled": vueNodes,
  };
  for (const [name, value] of Object.entries(settings)) {
    await fetch(`${url}/api/settings/${name}`, { method: "POST", body: JSON.stringify(value) });
  }
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  const page = await browser.newPage({ viewport: { width, height }, deviceScaleFactor: scale });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  await page.waitForFunction(
    () => window.LiteGraph?.registered_node_types?.AIGC_LoadModel && window.app?.graph && window.app.extensionManager,
    null,
    { timeout: 90_000 },
  );
  await page.waitForTimeout(2000);
  return { browser, page, errors };
}

export async function load(page, workflow, name) {
  await page.evaluate(([graph, title]) => window.app.loadGraphData(graph, true, true, title), [workflow, name]);
  await page.waitForTimeout(500);
}

/** What the frontend would send to the host for the graph on the canvas. */
export const prompt = (page) => page.evaluate(async () => (await window.app.graphToPrompt()).output);

/** Queue the graph; resolves with "execution_success", or with what went wrong. */
export function run(page, minutes = 2) {
  return page.evaluate(
    (limit) =>
      new Promise((resolve) => {
        const { api } = window.app;
        api.addEventListener("execution_success", () => resolve("execution_success"), { once: true });
        api.addEventListener("execution_error", ({ detail }) => resolve(detail.exception_message), { once: true });
        setTimeout(() => resolve(`no answer within ${limit} minutes`), 60_000 * limit);
        window.app.queuePrompt(0, 1).then(() => {
          const refused = Object.values(window.app.lastNodeErrors ?? {});
          if (refused.length) resolve(`refused: ${JSON.stringify(refused)}`);
        });
      }),
    minutes,
  );
}

/** Drop-downs of the graph whose value this host does not have: models and files that are still to be chosen. */
export const missing = (page) =>
  page.evaluate(() =>
    window.app.graph._nodes.flatMap((node) =>
      (node.widgets ?? [])
        .filter(({ type, options, value }) => type === "combo" && Array.isArray(options?.values) && !options.values.includes(value))
        .map(({ value }) => value),
    ),
  );

/** The part of the page that shows the graph, in page pixels, after fitting the view to it. */
export async function fitView(page, margin = 24) {
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Canvas.FitView"));
  await page.waitForTimeout(1500);
  return page.evaluate((space) => {
    const { ds } = window.app.canvas;
    const graph = window.app.graph;
    const boxes = [
      ...(graph.groups ?? graph._groups ?? []).map(({ pos, size }) => [pos[0], pos[1], pos[0] + size[0], pos[1] + size[1]]),
      ...graph._nodes.map(({ pos, size }) => [pos[0], pos[1] - 30, pos[0] + size[0], pos[1] + size[1]]),
    ];
    const at = (value, axis) => (value + ds.offset[axis]) * ds.scale;
    const left = at(Math.min(...boxes.map((b) => b[0])), 0) - space;
    const top = at(Math.min(...boxes.map((b) => b[1])), 1) - space;
    const right = at(Math.max(...boxes.map((b) => b[2])), 0) + space;
    const bottom = at(Math.max(...boxes.map((b) => b[3])), 1) + space;
    const frame = window.app.canvas.canvas.getBoundingClientRect();
    return { x: frame.x + left, y: frame.y + top, width: right - left, height: bottom - top };
  }, margin);
}
