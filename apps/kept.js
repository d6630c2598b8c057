// What the browser keeps belongs to all tabs of the page: it is read anew for
// every change, which is made anew where another tab came in between.
const readLast = {};
function readKept(name) {
  try {
    readLast[name] = localStorage.getItem(`keras_grow_${name}`);
    return JSON.parse(readLast[name]) ?? [];
  } catch {
    return [];  // Nothing may be kept, or it is of an older version.
  }
}
function writeKept(name, list) {
  try {
    const key = `keras_grow_${name}`;
    if (localStorage.getItem(key) !== readLast[name]) return false;
    localStorage.setItem(key, JSON.stringify(list));
  } catch (error) {
    console.error(error);
  }
  return true;
}
function forgetKept(name) {
  readKept(name);
  writeKept(name, []);
}
// Add to what is kept by now, whichever tab it is of, unless it is there.
function addKept(name, one) {
  const kept = readKept(name);
  const own = JSON.stringify(one);
  if (kept.some((each) => JSON.stringify(each) === own)) return;
  writeKept(name, [...kept, one]);
}
