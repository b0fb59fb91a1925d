// The pack's only extension. Helpers are .mjs: the host imports every .js it finds here as an extension of its own.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { titleColour } from "./lib/colours.mjs";
import { addTextPreview, nodeOf, showText } from "./lib/text_preview.mjs";

const SHOWS_TEXT = new Set([
  "AIGC_BucketImages",
  "AIGC_CalibrateDiscriminator",
  "AIGC_CaptionImages",
  "AIGC_CleanImages",
  "AIGC_CollectImages",
  "AIGC_CompareSets",
  "AIGC_GenerateText",
  "AIGC_JudgePanel",
  "AIGC_ModelInfo",
  "AIGC_Score",
  "AIGC_ScoreFolder",
  "AIGC_WriteCopy",
  "AIGC_WritePrompt",
]);

app.registerExtension({
  name: "aigc.nodes",
  setup() {
    api.addEventListener("aigc_text", ({ detail }) => showText(nodeOf(app.rootGraph ?? app.graph, detail.node), detail.text, true));
  },
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (SHOWS_TEXT.has(nodeData.name)) addTextPreview(nodeType);
  },
  nodeCreated(node) {
    const colour = titleColour(node.comfyClass);
    if (colour) node.color ??= colour;
  },
});
