(() => {
  const { root, asked, language } = Page;
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const numbers = JSON.parse(document.getElementById("numbers").textContent);
  const views = [...document.querySelectorAll(".view")], drawn = new Map(), visible = new Set();
  const panelOf = view => specs[view.dataset.figure][language()][+view.dataset.panel];
  const name = view => { const h = view.closest(".panel").querySelector("[data-title]"); if (h) h.textContent = panelOf(view).title; };
  const draw = async view => {
    const panel = panelOf(view), key = language() + root.dataset.theme;
    name(view);
    view.style.minWidth = panel.minWidth ? panel.minWidth + "px" : "";
    if (drawn.get(view) === key) return;
    drawn.set(view, key);
    await Page.embed(view, panel.spec);
    view.dataset.drawn = key;
  };
  const observer = new IntersectionObserver(entries => entries.forEach(e => {
    if (e.isIntersecting) { visible.add(e.target); draw(e.target); } else visible.delete(e.target);
  }), { rootMargin: "500px" });
  const redraw = () => {
    drawn.clear(); views.forEach(name); Page.signs();
    const again = Promise.all([...visible].map(draw));
    observer.disconnect(); visible.clear(); views.forEach(v => observer.observe(v));
    return again;
  };
  Page.start(redraw);
  const drawAll = () => Promise.all(views.map(draw));
  addEventListener("beforeprint", () => { document.querySelectorAll("figure > details.fold").forEach(d => { d.open = true; }); Page.setTheme("light"); drawAll(); });
  if (asked.has("all")) { document.querySelectorAll("details.fold").forEach(d => { d.open = true; }); drawAll().then(() => { root.dataset.ready = "all"; }); }
  const links = new Map([...document.querySelectorAll("nav ol a")].map(a => [a.hash.slice(1), a]));
  const spy = new IntersectionObserver(entries => entries.forEach(e => { if (e.isIntersecting && links.has(e.target.id)) { links.forEach(a => a.removeAttribute("aria-current")); links.get(e.target.id).setAttribute("aria-current", "true"); } }), { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main section").forEach(s => spy.observe(s));
  views.forEach(v => { name(v); observer.observe(v); });
  const text = element => element ? [...element.querySelectorAll(`[lang="${language()}"]`)].map(e => e.textContent).join("") : "";
  document.querySelectorAll("[data-tools]").forEach(tools => tools.addEventListener("click", async event => {
    const kind = event.target.dataset && event.target.dataset.save;
    if (!kind) return;
    const id = tools.dataset.tools, figure = document.getElementById(id);
    if (kind === "csv") { const n = numbers[id]; Page.save(id + ".csv", Page.csv(n.columns, n.rows), "text/csv"); return; }
    const own = views.filter(v => v.dataset.figure === id);
    await Promise.all(own.map(draw));
    const synthetic = figure.closest("section").querySelector("h2 .badge");
    await Page.savePicture(kind, id, text(figure.querySelector("h3")), own.map(view => ({ view, title: panelOf(view).title })),
      [text(figure.querySelector("figcaption")), synthetic ? text(synthetic) : "", text(document.getElementById("source"))]);
  }));
})();
