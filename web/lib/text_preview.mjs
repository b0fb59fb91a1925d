const STYLE =
  "margin:0;padding:6px 8px;box-sizing:border-box;width:100%;height:100%;overflow:auto;white-space:pre-wrap;" +
  "user-select:text;font:11px/1.45 monospace;color:var(--input-text,#ddd);" +
  "background:var(--comfy-input-bg,#222);border-radius:6px";

/** Give nodes of this type a text box that shows the `text` they send after a run. It is saved nowhere. */
export function addTextPreview(nodeType) {
  const { onNodeCreated, onExecuted } = nodeType.prototype;

  nodeType.prototype.onNodeCreated = function (...args) {
    onNodeCreated?.apply(this, args);
    const element = document.createElement("pre");
    element.className = "aigc-text";
    element.style.cssText = STYLE;
    // Without this the canvas would zoom while the text is scrolled.
    element.addEventListener("wheel", (event) => event.stopPropagation());
    const widget = this.addDOMWidget("aigc_text", "aigc_text", element, {
      serialize: false,
      getMinHeight: () => 120,
    });
    widget.serialize = false;
  };

  nodeType.prototype.onExecuted = function (output, ...args) {
    onExecuted?.call(this, output, ...args);
    showText(this, output?.text?.join("\n") ?? "", false);
  };
}

/** Put `text` into a node's box; while it grows, follow its end unless the reader has scrolled away from it. */
export function showText(node, text, grows) {
  const element = node?.widgets?.find(({ name }) => name === "aigc_text")?.element;
  if (!element) return;
  const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
  element.textContent = text;
  element.scrollTop = !grows ? 0 : atEnd ? element.scrollHeight : element.scrollTop;
}

/** The node of an execution id: "3", or "5:3" for node 3 in the subgraph of node 5. */
export function nodeOf(graph, id) {
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById?.(part) ?? graph?.getNodeById?.(Number(part)) ?? null;
    graph = node?.subgraph;
  }
  return node;
}
