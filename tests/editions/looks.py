"""What can be measured of a page that a browser shows.

Belongs here: questions to a page that is open in `browser`. Does not belong here: which page, and verdicts.
"""

CONTRASTS = """
// text and what lies behind it are found where they stand, marks that take no pointer included
const style = document.createElement("style");
style.textContent = "svg *, svg { pointer-events: all !important; } nav { display: none !important; }"
  + " .scroll { overflow: visible !important; } .scroll, .view { position: relative; }";
document.head.append(style);
const channels = value => { const found = (value || "").match(/[\\d.]+/g); return found ? found.map(Number) : null; };
const solid = (element, property) => {
  const css = getComputedStyle(element), paint = channels(css[property]);
  if (!paint || css[property] === "none") return null;
  const own = property === "fill" ? parseFloat(css.fillOpacity) : 1;
  let alpha = (paint.length > 3 ? paint[3] : 1) * own;
  for (let e = element; e && e.nodeType === 1; e = e.parentNode) alpha *= parseFloat(getComputedStyle(e).opacity);
  return [...paint.slice(0, 3), alpha];
};
const over = (front, back) => [0, 1, 2].map(k => front[k] * front[3] + back[k] * (1 - front[3]));
const luminance = rgb => {
  const [r, g, b] = rgb.map(c => { c /= 255; return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; });
  return .2126 * r + .7152 * g + .0722 * b;
};
const out = [];
for (const view of document.querySelectorAll(".view")) {
  const figure = view.dataset.figure || view.id;
  for (const text of view.querySelectorAll("svg text")) {
    if (!text.textContent.trim() || !text.getClientRects().length) continue;
    const box = text.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
    if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) { out.push([figure, text.textContent, 0]); continue; }
    const ink = solid(text, "fill");
    if (!ink || ink[3] === 0) continue;
    const layers = [];
    for (const element of document.elementsFromPoint(x, y)) {
      if (element === text || element.tagName === "text" || element.tagName === "tspan") continue;
      const isMark = element instanceof SVGElement && element.tagName !== "svg";
      const paint = solid(element, isMark ? "fill" : "backgroundColor");
      if (paint && paint[3] > 0) layers.push(paint);
      if (paint && paint[3] >= 1) break;
    }
    let back = [255, 255, 255];
    for (const layer of layers.reverse()) back = over(layer, back);
    const [a, b] = [luminance(over(ink, back)), luminance(back)].sort((p, q) => q - p);
    out.push([figure, text.textContent, (a + .05) / (b + .05)]);
  }
}
style.remove();
return out;
"""


ENGLISH_SENTENCES = """
// what a survey says is quoted in its own language; names in code are no sentences
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
while (walker.nextNode()) {
  const node = walker.currentNode, text = node.textContent.trim();
  if (node.parentElement.closest("[lang=en]:not(html), script, style, pre, code, q, noscript")) continue;
  if (/[a-z]{2,} [a-z]{1,} [a-z]{2,}/.test(text.replace(/[\\w.:=-]*_[\\w.:=-]*/g, "_"))) found.push(text);
}
return found;
"""
"""Every sentence in English that stands in a page in Chinese, folded parts and parts of sentences among them."""

LEGEND_DOTS = """
const channels = value => value.match(/[\\d.]+/g).map(Number);
const linear = c => c / 255 <= .04045 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
const paper = e => {
  const paint = channels(getComputedStyle(e).backgroundColor);
  return paint.length < 4 || paint[3] === 1 ? paint : paper(e.parentElement);
};
return [...document.querySelectorAll(".view")].flatMap(view => {
  const back = luminance(paper(view));
  return [...view.querySelectorAll(".role-legend-symbol path")].map(dot => {
    const css = getComputedStyle(dot), isHollow = css.fill === "none" || css.fillOpacity === "0";
    const [a, b] = [luminance(channels(isHollow ? css.stroke : css.fill)), back].sort((p, q) => q - p);
    return [view.dataset.figure || view.id, (a + .05) / (b + .05)];
  });
});
"""
"""Figure and contrast to the page of the dots that explain colours."""

TICKS_AND_POINTS = """
const middle = e => { const box = e.getBoundingClientRect(); return box.left + box.width / 2; };
const figure = document.querySelector(arguments[0]);
const labels = [...figure.querySelectorAll(".role-axis-label text")].filter(t => /[a-z]/.test(t.textContent));
const points = [...figure.querySelectorAll(".mark-symbol.role-mark path")];
return [labels.map(t => [t.textContent, middle(t)]), points.map(p => [p.__data__.datum.wave, middle(p)])];
"""
"""Places of the words on the lower axis of a figure, and of its points by their wave."""

NAMED_ROWS = """
return [...document.querySelectorAll(arguments[0] + " .view")].map(view => {
  const left = view.querySelector("svg").getBoundingClientRect().left;
  const lines = text => text.querySelectorAll("tspan").length ? [...text.querySelectorAll("tspan")] : [text];
  const axis = [...view.querySelectorAll(".role-axis")].filter(a => !/^[^a-z\\u4e00-\\u9fff]*$/.test(a.textContent));
  const labels = axis.flatMap(a => [...a.querySelectorAll(".role-axis-label text")])
    .filter(t => /[A-Za-z\\u4e00-\\u9fff]/.test(t.textContent));
  return {
    left: Math.min(...labels.map(t => t.getBoundingClientRect().left - left)),
    labels: labels.map(t => lines(t).map(line => line.textContent).join(" ")),
    rows: [...view.querySelectorAll(".mark-symbol.role-mark path")]
      .map(p => [p.__data__.datum.term, p.__data__.datum.beta, p.getBoundingClientRect().top]),
  };
});
"""
"""Of each panel of a figure: its labels, how far from its edge they begin, and term, value and place of its points."""


def contrasts(browser):
    """Figure, text and contrast (1 to 21) of every text inside the figures of the open page.

    The window is made as large as the page, since a browser says what lies behind a point only where it is seen.
    """
    height = browser.run("return document.documentElement.scrollHeight")
    browser.size(2400, height + 2000)
    browser.run("scrollTo(0, 0); return new Promise(done => setTimeout(done, 1500))")
    return browser.run(CONTRASTS)


def drawn_problems(browser):
    """What is missing of a page that drew all its figures."""
    views = browser.run(
        "return [...document.querySelectorAll('.view')].map(v => [v.dataset.figure || v.id, v.dataset.drawn || '',"
        " v.dataset.error || '', !!v.querySelector('svg[role=img][aria-label]')])"
    )
    result = [] if views else ["there are no figures"]
    result += [f"not drawn: {figure} {error}" for figure, drawn, error, _ in views if error or not drawn]
    result += [f"not described: {figure}" for figure, drawn, _, described in views if drawn and not described]
    spoken = browser.run(
        "return [...document.querySelectorAll('.view svg [aria-label], .view svg [aria-roledescription]')].length"
    )
    if spoken:
        result.append(f"{spoken} marks are read out one by one")
    requests = browser.run("return performance.getEntriesByType('resource').map(r => r.name)")
    result += [f"request: {name}" for name in requests if not name.startswith(("data:", "blob:"))]
    return result + [f"refused: {what}" for what in browser.run("return window.__violations")]
