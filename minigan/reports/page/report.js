"use strict";
// Unpacks the frames of a report, draws its figures in the look of the reader, and shows the frame of the slider.
(() => {
  const page = JSON.parse(document.getElementById("report-data").textContent);
  const root = document.documentElement, slider = document.getElementById("frame");
  const label = document.getElementById("frame-label"), play = document.getElementById("play");
  const TYPES = { float64: Float64Array, float32: Float32Array, uint8: Uint8Array };
  let bytes = null, shown = null, look = null, sources = {}, images = null, timer = null, turn = 0;

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  function array(number) {
    const { type, shape, at } = page.table.arrays[number];
    const values = new TYPES[type](bytes, at, shape.reduce((a, b) => a * b, 1));
    return shape.length === 1 ? values : new images(values, shape); // an image is of Bokeh's own kind
  }

  function column(spec) {
    if (typeof spec === "number") return array(spec);
    return spec.list === undefined ? spec.plain : spec.list.map(array);
  }

  function show(k) {
    const frame = page.frames[look][k], before = shown === null ? null : page.frames[look][shown];
    for (const [name, columns] of Object.entries(frame)) {
      if (before !== null && JSON.stringify(before[name]) === JSON.stringify(columns)) continue;
      const data = {};
      for (const [key, spec] of Object.entries(columns)) data[key] = column(spec);
      sources[name].data = data;
    }
    shown = k;
    label.textContent = page.labels[k];
    root.dataset.frame = String(k);
  }

  async function draw(name) {
    const mine = ++turn, place = document.getElementById("figures");
    stop();
    root.classList.toggle("dark", name === "dark");
    if (page.documents === null) return;
    place.replaceChildren();
    const seen = new Set(Bokeh.documents);
    await Bokeh.embed.embed_item(page.documents[name], place);
    if (mine !== turn) return;
    const made = Bokeh.documents.find((one) => !seen.has(one));
    look = name;
    root.dataset.look = name;
    if (page.frames === null) return;
    sources = {};
    for (const source of page.sources) sources[source] = made.get_model_by_name(source);
    const picture = Object.values(sources).find((source) => source.data.image !== undefined);
    if (picture !== undefined) images = picture.data.image[0].constructor;
    shown = null;
    show(Number(slider.value));
  }

  function stop() {
    if (timer !== null) clearInterval(timer);
    timer = null;
    if (play !== null) play.textContent = "Play";
  }

  function start() {
    if (Number(slider.value) >= Number(slider.max)) slider.value = "0";
    play.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = String(Number(slider.value) + 1);
      show(Number(slider.value));
      if (Number(slider.value) >= Number(slider.max)) stop();
    }, 120);
  }

  async function begin() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (page.table !== null) {
      bytes = await unpack(page.table.bytes);
      slider.addEventListener("input", () => { stop(); if (Object.keys(sources).length) show(Number(slider.value)); });
      play.addEventListener("click", () => (timer === null ? start() : stop()));
    }
    document.getElementById("look").addEventListener("click", () =>
      draw(root.classList.contains("dark") ? "light" : "dark"));
    for (const button of document.querySelectorAll("button[data-copies]")) {
      button.addEventListener("click", async () => {
        const shown = document.getElementById(button.dataset.copies);
        getSelection().selectAllChildren(shown); // which is left where the browser lets no page copy
        await navigator.clipboard?.writeText(shown.textContent);
        button.textContent = navigator.clipboard ? "Copied" : "Selected";
      });
    }
    await draw(dark ? "dark" : "light");
  }

  begin();
})();
