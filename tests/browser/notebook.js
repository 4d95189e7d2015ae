// What tests/browser/notebook.py asks of a JupyterLab page.
window.mmkitTest = (() => {
  const app = window.jupyterapp;
  const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
  const notebooks = () => [...app.shell.widgets('main')].filter(each => each.content?.model?.cells);
  const current = () => notebooks().find(each => each === app.shell.currentWidget) ?? notebooks()[0];
  // The kernel says this of a question that JupyterLab asks before any widget was made; it means nothing.
  const NOISE = /No such comm/;
  const heard = [], pending = new Set();
  let lastChange = 0;

  async function open(path) {
    await app.commands.execute('docmanager:open', {path, factory: 'Notebook'});
  }

  async function close() {
    for (const each of notebooks()) {
      try { await each.sessionContext.shutdown(); } catch { /* the kernel had gone already */ }
      if (each.context) each.context.model.dirty = false;
      each.dispose();
    }
  }

  function output(each) {
    return {
      type: each.output_type,
      name: each.name ?? '',
      text: each.output_type === 'stream' ? [].concat(each.text).join('').slice(0, 500) : '',
      error: each.ename ? `${each.ename}: ${each.evalue}` : '',
    };
  }

  function state() {
    const widget = current();
    if (!widget?.sessionContext) return null;
    const kernel = widget.sessionContext.session?.kernel;
    const cells = [...widget.content.model.cells].filter(each => each.type === 'code').map(each => ({
      source: each.sharedModel.getSource().trim(),
      count: each.executionCount,
      tags: each.getMetadata('tags') ?? [],
      outputs: Array.from({length: each.outputs.length}, (_, i) => output(each.outputs.get(i).toJSON())),
    }));
    return {kernel: kernel?.status, connected: kernel?.connectionStatus === 'connected', cells};
  }

  // A callback that fails shows nowhere in the notebook: JupyterLab puts what it says into its log console.
  // A message is pending from being sent until the kernel says that it is idle again after it.
  function listen() {
    heard.length = 0;
    pending.clear();
    const touch = () => { lastChange = performance.now(); };
    current().sessionContext.session.kernel.anyMessage.connect((_, {msg, direction}) => {
      const {header, parent_header: parent, content} = msg;
      touch();
      if (direction === 'send' && msg.channel === 'shell') pending.add(header.msg_id);
      if (header.msg_type === 'status' && content.execution_state === 'idle') pending.delete(parent.msg_id);
      if (parent?.msg_type !== 'comm_msg') return;
      if (header.msg_type === 'error') heard.push(`${content.ename}: ${content.evalue}`);
      if (header.msg_type === 'stream' && content.name === 'stderr' && !NOISE.test(content.text))
        heard.push(content.text.slice(-500));
    });
    new MutationObserver(touch).observe(
      current().node, {subtree: true, childList: true, attributes: true, characterData: true});
  }

  // Every message has been dealt with, and for 150 ms nothing has changed.
  async function settled() {
    lastChange = performance.now();
    for (const end = lastChange + 60000; pending.size || performance.now() - lastChange < 150; await sleep(25))
      if (performance.now() > end) throw new Error('the notebook does not settle');
    await Promise.all([...current().node.querySelectorAll('img')].map(each => each.decode().catch(() => {})));
  }

  // JupyterLab gives an image without alt text the text 'Image'.
  function broken() {
    const found = [], node = current().node;
    for (const each of node.querySelectorAll('.jp-OutputArea-output')) {
      if (/Error (displaying|creating) widget|Loading widget|Could not create a view|model not found|Failed to load model class/i
        .test(each.textContent)) found.push(`widget: ${each.textContent.slice(0, 200)}`);
    }
    for (const each of node.querySelectorAll('.jupyter-widgets [data-mime-type*="jupyter.std"], .jupyter-widgets [data-mime-type*="jupyter.error"]'))
      found.push(`inside a widget: ${each.textContent.slice(-200)}`);
    for (const each of node.querySelectorAll('img')) {
      if (!(each.complete && each.naturalWidth)) found.push(`an image that did not load: ${each.alt || each.src.slice(0, 60)}`);
      if (!each.alt.trim() || each.alt === 'Image') found.push(`an image without alt text: ${each.src.slice(0, 60)}`);
    }
    return found;
  }

  const text = html => Object.assign(document.createElement('div'), {innerHTML: html}).textContent;

  return {text, open, close, state, listen, settled, broken, heard};
})();
