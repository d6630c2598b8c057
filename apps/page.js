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
