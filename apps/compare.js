// A copy button copies the answer beside it.
document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".kg-copy");
  if (!button) return;
  const text = button.parentElement.querySelector(".kg-text:last-of-type");
  copy(text ? text.textContent : "", button);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
function copy(text, button) {
  // There only on this machine or over HTTPS, and not for a phone beside it.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  button.after(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  button.focus();
}
// An answer is read out once, when it has ended, and not while it is written.
const readEnds = {};
function sayEnds() {
  for (const note of document.querySelectorAll('[id^="note-"]')) {
    const end = note.querySelector(".kg-good, .kg-warning, .kg-error");
    if (!end || readEnds[note.id] === end.textContent) continue;
    readEnds[note.id] = end.textContent;
    const answer = document.querySelector(
      `#${note.id.replace("note", "answer")} .kg-answer`);
    const text = [...(answer?.querySelectorAll(".kg-text") ?? [])].at(-1);
    say(`${answer?.ariaLabel ?? ""}: ${text?.textContent ?? ""}. ` +
      end.textContent);
  }
}
function say(text) {
  let log = document.getElementById("kg-log");
  if (!log) {
    log = document.createElement("div");
    log.id = "kg-log";
    log.setAttribute("role", "log");
    document.body.append(log);
  }
  const line = document.createElement("p");
  line.textContent = text;
  log.append(line);
  while (log.childElementCount > 8) log.firstElementChild.remove();
}
new MutationObserver(sayEnds).observe(
  document.documentElement, { childList: true, subtree: true });
function showQuery(query) {
  const url = new URL(window.location.href);
  url.search = query;
  window.history.replaceState(null, "", url);
  return url.href;
}
function download(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
