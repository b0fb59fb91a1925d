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
    const widget = this.widgets?.find(({ name }) => name === "aigc_text");
    if (widget) widget.element.textContent = output?.text?.join("\n") ?? "";
  };
}
