// The pack's only extension. Helpers are .mjs: the host imports every .js it finds here as an extension of its own.
import { app } from "../../scripts/app.js";
import { titleColour } from "./lib/colours.mjs";
import { addTextPreview } from "./lib/text_preview.mjs";

const SHOWS_TEXT = new Set([
  "AIGC_BucketImages",
  "AIGC_CalibrateDiscriminator",
  "AIGC_CaptionImages",
  "AIGC_CleanImages",
  "AIGC_CollectImages",
  "AIGC_CompareSets",
  "AIGC_JudgePanel",
  "AIGC_ModelInfo",
  "AIGC_Score",
  "AIGC_ScoreFolder",
]);

app.registerExtension({
  name: "aigc.nodes",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (SHOWS_TEXT.has(nodeData.name)) addTextPreview(nodeType);
  },
  nodeCreated(node) {
    const colour = titleColour(node.comfyClass);
    if (colour) node.color ??= colour;
  },
});
