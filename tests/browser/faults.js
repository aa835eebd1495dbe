// What is wrong with how a page lies: parts beyond the window, texts on each other, texts that are cut, legends on data,
// panels that show nothing and do not say why.
const faults = [];
const shown = (element) => element.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true });
const parent = (node) => node.assignedSlot || node.parentElement || (node.getRootNode().host ?? null);
const scrolls = (style) => [style.overflowX, style.overflow].some((value) => value === 'auto' || value === 'scroll');
const hides = (style) => [style.overflowX, style.overflowY].some((value) => value !== 'visible');
const elements = [];
const gather = (root) => {
  for (const element of root.querySelectorAll('*')) {
    elements.push(element);
    if (element.shadowRoot) gather(element.shadowRoot);
  }
};
gather(document.body);

// The rectangle of a text or a part, less what ancestors that clip or scroll leave of it; null where nothing is.
const clipped = (element, rect) => {
  let [left, top, right, bottom] = [rect.left, rect.top, rect.right, rect.bottom];
  for (let at = element; at && at !== document.body; at = parent(at)) {
    const style = getComputedStyle(at);
    if (!hides(style) || style.display === 'inline') continue;
    const box = at.getBoundingClientRect();
    [left, top] = [Math.max(left, box.left), Math.max(top, box.top)];
    [right, bottom] = [Math.min(right, box.right), Math.min(bottom, box.bottom)];
  }
  return right - left > 1 && bottom - top > 1 ? { left, top, right, bottom } : null;
};
const named = (text) => JSON.stringify(text.trim().replace(/\s+/g, ' ').slice(0, 40));
const page = document.scrollingElement;
const width = page.clientWidth;
if (page.scrollWidth > width) faults.push(`the page is ${page.scrollWidth} wide in a window of ${width}`);

const texts = [];
for (const element of elements) {
  if (!shown(element)) continue;
  const style = getComputedStyle(element);
  const box = clipped(element, element.getBoundingClientRect());
  const out = (at) => at && clipped(at, at.getBoundingClientRect())?.right > width + 1;
  if (out(element) && !out(parent(element))) faults.push(`<${element.localName} class="${element.className}"> ends at ${Math.round(box.right)}`);
  const control = ['BUTTON', 'INPUT', 'SELECT'].includes(element.tagName);
  if (control && box) {
    const pen = document.createElement('canvas').getContext('2d');
    pen.font = style.font;
    const text = element.tagName === 'SELECT' ? element.selectedOptions[0]?.textContent ?? '' :
      element.tagName === 'INPUT' ? '' : element.textContent;
    const room = element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)
      - (element.tagName === 'SELECT' ? 16 : 0);
    const asks = pen.measureText(text).width;
    if (asks > room + 1 && !element.title) faults.push(`${named(text)} asks for ${Math.round(asks)} of ${Math.round(room)} pixels`);
    texts.push({ element, text, box });
  }
  for (const node of control || element.localName === 'style' || element.localName === 'script' ? [] : element.childNodes) {
    if (node.nodeType !== Node.TEXT_NODE || !node.data.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      const there = clipped(element, rect);
      if (there) texts.push({ element, text: node.data, box: there });
      if (there && rect.right - there.right > 2 && !scrolled(element)) faults.push(`${named(node.data)} is cut`);
    }
  }
}
function scrolled(element) {
  for (let at = element; at && at !== document.body; at = parent(at)) if (scrolls(getComputedStyle(at))) return true;
  return false;
}
const within = (inner, outer) => {
  for (let at = inner; at; at = parent(at)) if (at === outer) return true;
  return false;
};
const common = (a, b) => [Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
for (let i = 0; i < texts.length; i++) {
  for (let j = i + 1; j < texts.length; j++) {
    const [a, b] = [texts[i], texts[j]];
    if (a.element === b.element || within(a.element, b.element) || within(b.element, a.element)) continue;
    const [across, down] = common(a.box, b.box);
    if (across > 2 && down > 3) faults.push(`${named(a.text)} lies on ${named(b.text)}`);
  }
}

// Figures are canvases: what their views say of legends, titles and axes.
const pen = document.createElement('canvas').getContext('2d');
const views = [];
const walk = (view) => {
  views.push(view);
  for (const child of view.child_views ?? []) walk(child);
};
for (const root of Bokeh.index.roots) walk(root);
for (const view of views) {
  if (view.model.type !== 'Figure' || !shown(view.el)) continue;
  const plot = view;
  const frame = (plot.frame ?? plot.frame_view).bbox;
  const title = view.model.title;
  const outer = plot.el.getBoundingClientRect();
  const of = (what) => `of ${named(title?.text ?? '')} ${what}`;
  const long = (text, font, room, what) => {
    pen.font = font;
    const asks = pen.measureText(text ?? '').width;
    if (asks > room + 2) faults.push(of(`${what} ${named(text)} asks for ${Math.round(asks)} of ${Math.round(room)} pixels`));
  };
  // A line of one point is not drawn; what spans a figure, and what a legend shows, is not what it is for.
  const seen = [...plot.renderer_views?.values() ?? []].filter((part) => {
    const { type, visible, glyph, data_source } = part.model;
    if (type === 'Label') return visible;
    if (type !== 'GlyphRenderer' || !visible || /Span|Strip/.test(glyph.type)) return false;
    const finite = (one) => typeof one === 'number' ? Number.isFinite(one) : one?.length ? Array.from(one).some(finite) : false;
    const columns = ['x', 'y', 'xs', 'ys', 'x0', 'y0', 'image', 'y1', 'right', 'top'].map((name) => glyph[name]?.field ?? glyph[name]);
    const there = columns.map((name) => data_source.data[name]).filter((column) => column !== undefined);
    const count = Math.min(...there.map((column) => Array.from(column).filter(finite).length));
    return there.length > 0 && count >= (glyph.type === 'Line' ? 2 : 1);
  });
  const drawn = view.model.toolbar.tools.some((tool) => tool.type === 'PointDrawTool');
  if (seen.length === 0 && !drawn) faults.push(of('nothing is shown, and no word says why'));
  if (title) long(title.text, `bold ${title.text_font_size} ${title.text_font}`, outer.width - frame.left, 'the title');
  for (const part of plot.renderer_views?.values() ?? []) {
    const model = part.model;
    if (/Axis$/.test(model.type) && model.visible) {
      const side = part.dimension === 0 ? frame.width : frame.height;
      long(model.axis_label, `${model.axis_label_text_font_size} ${model.axis_label_text_font}`, side, 'the label');
    }
    if (model.type === 'Legend' && model.visible && model.items.length) {
      const box = part.bbox;
      if (box.right > outer.width + 1 || box.left < -1) faults.push(of(`the legend is wider than the figure: ${Math.round(box.left)} to ${Math.round(box.right)} of ${Math.round(outer.width)}`));
      const name = [...plot.renderer_views.values()].find((one) => one.model.type === 'Title');
      if (name && common(name.bbox, box)[1] > 3) faults.push(of('the legend lies on the title'));
      const on = common(box, frame);
      if (on[0] > 1 && on[1] > 3) faults.push(of('the legend lies on the data'));
    }
  }
}
return [...new Set(faults)];
