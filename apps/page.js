// Points of a chart are read out under it: by pointer, touch or arrow keys.
function readOut(point) {
  const figure = point.closest(".kg-chart");
  const output = figure && figure.querySelector(".kg-readout");
  if (output) output.textContent = point.dataset.words;
}
for (const name of ["pointerover", "pointerdown"]) {
  document.addEventListener(name, (event) => {
    const point = event.target.closest && event.target.closest(".kg-point");
    if (point) readOut(point);
  });
}
document.addEventListener("keydown", (event) => {
  const chart = event.target.closest && event.target.closest(".kg-chart svg");
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!chart || !step) return;
  event.preventDefault();
  const points = [...chart.querySelectorAll(".kg-point")];
  if (!points.length) return;
  const at = Number(chart.dataset.at ?? (step > 0 ? -1 : points.length));
  const next = (at + step + points.length) % points.length;
  chart.dataset.at = next;
  readOut(points[next]);
});
// Gradio's small buttons have one name for all: each gets its field's besides.
function nameButtons() {
  for (const name of ["Copy", "Clear", "Reset to default value"]) {
    for (const button of document.querySelectorAll(`[aria-label="${name}"]`)) {
      const block = button.closest(".block");
      const label = block && block.querySelector(
        '[data-testid="block-info"], [data-testid="block-label"], label span');
      const field = label && label.textContent.trim().replaceAll(":", "");
      if (!field) continue;
      const own = `${name} ${field[0].toLowerCase()}${field.slice(1)}`;
      button.setAttribute("aria-label", own.replace("value ", "value of "));
    }
  }
  // Whoever speaks to the page says what stands on the button.
  for (const each of document.querySelectorAll(".upload-container[aria-label]")) {
    each.removeAttribute("aria-label");
  }
}
let naming = 0;
new MutationObserver(() => {
  naming ||= setTimeout(() => { naming = 0; nameButtons(); }, 100);
}).observe(document.documentElement, {
  attributeFilter: ["aria-label"], childList: true, subtree: true,
});
