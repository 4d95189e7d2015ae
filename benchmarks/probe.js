// Times, inside the page, how long a key press on a slider takes to reach the screen: driving the page from outside costs
// time of its own. A picture counts as ready when every image in it is decoded, as painted in the first task after the
// animation frame that follows.
window.mmkitProbe = (() => {
  const now = () => performance.now(), sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
  let root, paints = [], open = 0, lastChange = 0, observer;

  // What is to be seen under root: pictures by their bytes, otherwise the text.
  function state() {
    const images = [...root.querySelectorAll('img')].filter(each => each.naturalWidth);
    return images.length ? images.map(each => each.src).join() : root.textContent;
  }

  function changed() {
    lastChange = now();
    open += 1;
    Promise.all([...root.querySelectorAll('img')].map(each => each.decode().catch(() => {}))).then(() =>
      requestAnimationFrame(() => {
        const seen = state(), channel = new MessageChannel();
        channel.port1.onmessage = () => { paints.push({time: now(), seen}); open -= 1; };
        channel.port2.postMessage(0);
      }));
  }

  function watch(element) {
    observer?.disconnect();
    root = element;
    open = 0;
    root.scrollIntoView({block: 'center'});
    observer = new MutationObserver(changed);
    observer.observe(root, {subtree: true, childList: true, characterData: true, attributes: true});
  }

  function press(handle, key) {
    const code = {ArrowLeft: 37, ArrowRight: 39}[key];
    for (const type of ['keydown', 'keyup'])
      handle.dispatchEvent(new KeyboardEvent(type, {key, code: key, keyCode: code, which: code, bubbles: true, cancelable: true}));
  }

  // Wait until nothing has changed for `calm` ms and all that changed is painted.
  async function quiet(calm, patience) {
    const end = now() + patience;
    while (now() < end && (open > 0 || now() - lastChange < calm)) await sleep(5);
  }

  // One key press; returns ms until the last change that it caused was painted, and what is then to be seen.
  async function step(handle, key, calm = 120) {
    handle.focus({preventScroll: true});
    await new Promise(requestAnimationFrame);
    await sleep(Math.random() * 17);                 // any phase of the display's beat
    paints = [];
    const start = now();
    press(handle, key);
    while (!paints.length && now() - start < 8000) await sleep(4);
    await quiet(calm, 8000);
    return {ms: paints.length ? paints.at(-1).time - start : null, seen: state()};
  }

  // Many key presses within `ms`; returns all that was painted, in order, and ms from the last press to the last paint.
  async function drag(handle, key, presses, ms, calm = 1200) {
    handle.focus({preventScroll: true});
    paints = [];
    const start = now();
    for (let i = 0; i < presses; i++) {
      press(handle, key);
      await sleep(Math.max(0, start + (i + 1) * ms / presses - now()));
    }
    const end = now();
    lastChange = end;
    await quiet(calm, 30000);
    return {seen: paints.map(each => each.seen), late: paints.length ? paints.at(-1).time - end : null, last: state()};
  }

  return {watch, state, step, drag};
})();
