"use strict";
// What both pages share: language and theme, drawing of figures, and taking them along. No request leaves the page.
const Page = (() => {
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search);
  const store = { get: k => { try { return localStorage.getItem(k); } catch { return null; } }, set: (k, v) => { try { localStorage.setItem(k, v); } catch {} } };
  const css = name => getComputedStyle(root).getPropertyValue(name).trim();
  const language = () => root.dataset.lang;
  const said = (en, zh) => language() === "zh" ? zh : en;
  const inTheDark = Object.entries(JSON.parse(document.getElementById("in-the-dark").textContent));
  const themed = spec => {
    const colours = root.dataset.theme === "dark" ? inTheDark : [];
    return JSON.parse(colours.reduce((text, [paper, dark]) => text.replaceAll(`"${paper}"`, `"${dark}"`), JSON.stringify(spec)));
  };
  const config = () => {
    const ink = css("--ink"), soft = css("--soft"), grid = css("--grid"), font = getComputedStyle(document.body).fontFamily;
    return {
      background: css("--card"), font, view: { stroke: null }, text: { fill: ink, font },
      mark: { aria: false },
      axis: { aria: false, labelColor: soft, titleColor: soft, gridColor: grid, domainColor: grid, tickColor: grid, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, labelFont: font, titleFont: font, labelLimit: 260, labelPadding: 6 },
      axisY: { grid: false, domain: false, ticks: false }, axisQuantitative: { grid: true },
      legend: { aria: false, labelColor: soft, titleColor: soft, labelFontSize: 12, orient: "top", direction: "horizontal", labelFont: font, titleFont: font, symbolSize: 90, labelLimit: 300, symbolBaseFillColor: soft, symbolBaseStrokeColor: soft },
    };
  };
  // A figure is one image with a description, and a table of its numbers; its parts are not read out one by one.
  const silence = (view, description) => {
    const svg = view.querySelector("svg");
    if (!svg) return;
    for (const part of [svg, ...svg.querySelectorAll("[role], [aria-roledescription], [aria-label]")])
      for (const name of ["role", "aria-roledescription", "aria-label"]) part.removeAttribute(name);
    svg.setAttribute("role", "img"); svg.setAttribute("aria-label", description);
  };
  // Draw a specification into an element; resolves when it is there.
  const embed = async (view, spec) => {
    const height = view.offsetHeight;
    if (height) view.style.minHeight = height + "px";  // nothing jumps while a figure is drawn again
    try {
      if (view.result) view.result.finalize();
      view.result = await vegaEmbed(view, themed(spec), { actions: false, renderer: "svg", config: config(), tooltip: { theme: "custom" } });
      silence(view, spec.description || "");
      delete view.dataset.error;
    } catch (error) { view.dataset.error = String(error); view.textContent = String(error); }
    view.style.minHeight = "";
    signs();
  };
  // Say where something is cut off at the side.
  const signs = () => document.querySelectorAll(".scroll, .table").forEach(box => {
    const isCut = box.scrollWidth > box.clientWidth + 2;
    box.classList.toggle("cut", isCut);
    if (isCut || box.scrollHeight > box.clientHeight + 2) box.tabIndex = 0; else box.removeAttribute("tabindex");
  });
  addEventListener("resize", signs);
  // What stands at the top of the window stays there while texts change their length.
  const keepPlace = async change => {
    const below = document.querySelector("nav").getBoundingClientRect().bottom + 8;
    const at = scrollY > 0 && document.elementFromPoint(innerWidth / 2, below)?.closest("tr, p, figcaption, h2, h3, .panel, figure, .listing, section");
    const before = at && at.getBoundingClientRect().top;
    const back = () => {
      if (!at) return;
      const shown = at.getClientRects().length ? at : at.closest("figure, .listing, section");
      scrollBy({ top: shown.getBoundingClientRect().top - before, behavior: "instant" });
    };
    const drawing = change();
    back();
    await drawing;  // figures that are drawn again may be of another height
    back();
  };
  const setLanguage = lang => {
    root.dataset.lang = lang; root.lang = lang === "zh" ? "zh-CN" : "en"; store.set("language", lang);
    document.title = lang === "zh" ? root.dataset.titleZh : root.dataset.titleEn;
    const button = document.getElementById("language"); button.textContent = lang === "zh" ? "English" : "中文"; button.lang = "";
    button.setAttribute("aria-label", lang === "zh" ? "English：切换为英文" : "中文: switch to Chinese");
    document.querySelectorAll("a[data-page]").forEach(a => { a.href = a.dataset.page + (a.dataset.page === "quality.html" ? "#" + lang : "?lang=" + lang); });
  };
  const setTheme = theme => { root.dataset.theme = theme; store.set("theme", theme); };
  const start = redraw => {
    setLanguage(asked.get("lang") || store.get("language") || ((navigator.language || "").startsWith("zh") ? "zh" : "en"));
    setTheme(asked.get("theme") || store.get("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    document.getElementById("language").addEventListener("click", () => keepPlace(() => { setLanguage(language() === "en" ? "zh" : "en"); return redraw(); }));
    document.getElementById("theme").addEventListener("click", () => keepPlace(() => { setTheme(root.dataset.theme === "dark" ? "light" : "dark"); return redraw(); }));
    signs();
  };
  const save = (name, content, type) => {
    const link = document.createElement("a"), blob = content instanceof Blob ? content : new Blob([content], { type });
    link.href = URL.createObjectURL(blob); link.download = name;
    document.body.append(link); link.click(); link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  // Rows as CSV with a byte order mark, which Excel needs to show Chinese; text that it would run gets an apostrophe.
  const csv = (columns, rows) => {
    const cell = v => {
      if (v === null || v === undefined) return "";
      let text = String(v);
      if (typeof v === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
      return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
    };
    return "\ufeff" + [columns, ...rows].map(row => row.map(cell).join(",")).join("\r\n") + "\r\n";
  };
  const escaped = text => text.replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  // One picture of all panels: title, panels under each other, and the notes that belong to it wherever it goes.
  const picture = async (title, panels, notes) => {
    const font = escaped(getComputedStyle(document.body).fontFamily), ink = css("--ink"), soft = css("--soft");
    let y = 34, width = 480; const parts = [];
    const line = (text, size, colour, weight) => { parts.push(`<text x="16" y="${y}" font-family="${font}" font-size="${size}" font-weight="${weight}" fill="${colour}">${escaped(text)}</text>`); y += size * 1.5; };
    line(title, 17, ink, 600);
    for (const panel of panels) {
      if (panel.title) { y += 8; line(panel.title, 14, ink, 600); }
      const svg = new DOMParser().parseFromString(await panel.view.result.view.toSVG(), "image/svg+xml").documentElement;
      const w = parseFloat(svg.getAttribute("width")), h = parseFloat(svg.getAttribute("height"));
      svg.setAttribute("x", 16); svg.setAttribute("y", y - 12);
      parts.push(new XMLSerializer().serializeToString(svg));
      y += h + 8; width = Math.max(width, w + 32);
    }
    y += 6;
    const fits = Math.floor((width - 32) / (language() === "zh" ? 11.5 : 6.2));
    for (const note of notes.filter(Boolean))
      for (let rest = note; rest;) {
        let cut = rest.length <= fits ? rest.length : rest.lastIndexOf(" ", fits);
        if (cut <= 0) cut = Math.min(fits, rest.length);
        line(rest.slice(0, cut).trim(), 11, soft, 400); rest = rest.slice(cut).trim();
      }
    return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${Math.ceil(width)}" height="${Math.ceil(y)}" viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(y)}"><rect width="100%" height="100%" fill="${css("--card")}"/>${parts.join("")}</svg>`;
  };
  const png = svg => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = image.width * 2; canvas.height = image.height * 2;
      const pen = canvas.getContext("2d"); pen.scale(2, 2); pen.drawImage(image, 0, 0);
      canvas.toBlob(blob => blob ? done(blob) : failed(new Error("the browser made no picture")), "image/png");
    };
    image.onerror = () => failed(new Error("the browser cannot read the figure"));
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svg);
  });
  const savePicture = async (kind, name, title, panels, notes) => {
    const svg = await picture(title, panels, notes);
    if (kind === "svg") save(name + ".svg", svg, "image/svg+xml"); else save(name + ".png", await png(svg));
  };
  return { root, asked, language, said, embed, signs, start, setTheme, save, csv, savePicture };
})();
