// A point of a chart, or a token with its drift, is read out under the chart or
// the answer: by pointer, touch or arrow keys.
function readOut(point) {
  const whole = point.closest(".kg-chart, .kg-drifted");
  whole.querySelector(".kg-readout").textContent = point.dataset.words;
}
for (const name of ["pointerover", "pointerdown"]) {
  document.addEventListener(name, (event) => {
    const point = event.target.closest?.(".kg-point");
    if (point) readOut(point);
  });
}
document.addEventListener("keydown", (event) => {
  const whole = event.target.closest?.(".kg-chart svg, .kg-answer");
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!whole || !step) return;
  const points = [...whole.querySelectorAll(".kg-point")];
  if (!points.length) return;
  event.preventDefault();
  const now = points.findIndex((point) => point.classList.contains("kg-at"));
  points[now]?.classList.remove("kg-at");
  const next = (now < 0 && step < 0 ? 0 : now) + step;
  const point = points[(next + points.length) % points.length];
  point.classList.add("kg-at");
  readOut(point);
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
