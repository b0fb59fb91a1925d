// One quiet title colour a topic, so that the stages of a workflow can be told apart at a glance.
const COLOURS = { load: "#2f3d4f", condition: "#4a3d2c", latent: "#453047", sample: "#2c4636", decode: "#2b4548" };

// By id and not by category: the frontend translates categories.
const TOPICS = {
  AIGC_LoadModel: "load",
  AIGC_LoadLora: "load",
  AIGC_ModelInfo: "load",
  AIGC_EncodePrompt: "condition",
  AIGC_EncodeSong: "condition",
  AIGC_EmptyLatents: "latent",
  AIGC_EncodeImage: "latent",
  AIGC_EncodeAudio: "latent",
  AIGC_Sample: "sample",
  AIGC_DecodeImage: "decode",
  AIGC_DecodeVideo: "decode",
  AIGC_DecodeAudio: "decode",
};

/** The title colour for a node id of ours, undefined for any other. */
export const titleColour = (nodeId) => COLOURS[TOPICS[nodeId]];
