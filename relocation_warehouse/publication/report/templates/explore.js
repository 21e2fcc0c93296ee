(() => {
  const { root, asked, language, said } = Page;
  const given = JSON.parse(document.getElementById("given").textContent);
  const records = ({ columns, rows }) => rows.map(row => Object.fromEntries(columns.map((c, k) => [c, row[k]])));
  const values = records(given.values), questions = records(given.questions);
  const $ = id => document.getElementById(id);
  const make = (tag, properties = {}, ...children) => { const e = Object.assign(document.createElement(tag), properties); e.append(...children); return e; };
  // what a survey's folder says is in whatever language its researchers write: quoted, and said to be
  const quoted = text => text ? make("q", { lang: /[\u4e00-\u9fff]/.test(text) ? "zh-Hans" : "und" }, text) : "–";
  const own = (record, name) => record[`${name}_${language()}`] ?? record[name];
  const unique = list => [...new Set(list)];
  const measures = new Map(given.measures.map(m => [m.metric_id, m]));
  const regionWords = new Map(given.regions.map((r, k) => [r.region, { ...r, colour: given.colours[k % given.colours.length] }]));
  const surveyWords = new Map(given.surveys.map(s => [s.survey_id, s]));
  const groupWords = new Map(given.groups.map(g => [g.group_type + "\t" + g.group_id, g]));
  const indicators = new Map(given.indicators.map(i => [i.indicator_id, i]));
  const SPOKEN = { all: ["whole survey", "全体"], site: ["site", "安置点"], place: ["place", "地方"] };
  const plainly = id => id.replaceAll("_", " ").replaceAll(".", " · ");
  const groupTypeWord = id => SPOKEN[id] ? said(...SPOKEN[id]) : indicators.has(id) ? own(indicators.get(id), "label") : plainly(id);
  const groupWord = (type, id) => id === "all" ? said(...SPOKEN.all) : groupWords.has(type + "\t" + id) ? own(groupWords.get(type + "\t" + id), "label") : plainly(id);
  const choices = new Map(given.choices.map(c => [c.combination_id, c]));
  const optionsOf = c => ["scheme", "bounds", "variant", "band_scheme"].map(name => c[name] === null ? "" : own(c, name)).filter(Boolean).join(" · ");
  const choiceWord = id => id === "" ? said("as published", "发布口径") : id === "common" ? said("only indicators that all surveys answer", "仅各调查共有的指标") : choices.has(id) ? optionsOf(choices.get(id)) : plainly(id);
  const SIGNS = { identical: "=", compatible: "~", proxy: "p" };

  // What can be chosen: one of several, or any of several (none chosen: all). `of` is what a value has of it.
  const CHOICES = [
    { key: "m", of: "metric_id", word: ["Measure", "指标"], one: true, name: id => { const m = measures.get(id); return m ? own(m, "label") : id; } },
    { key: "g", of: "group_type", word: ["Households by", "住户分组"], one: true, name: groupTypeWord, first: "all" },
    { key: "b", of: "choice", word: ["Weights and indicators", "权重与指标口径"], one: true, name: choiceWord, first: "" },
    { key: "r", of: "region", word: ["Regions", "地区"], name: id => regionWords.has(id) ? own(regionWords.get(id), "region") : id },
    { key: "s", of: "survey_id", word: ["Surveys", "调查"], name: id => surveyWords.has(id) ? own(surveyWords.get(id), "title") : id },
    { key: "w", of: "wave", word: ["Waves", "轮次"], name: id => waveWord(id) },
    { key: "u", of: "group_id", word: ["Groups", "组"], name: id => groupWord(state.g, id) },
    { key: "e", of: "evidence", word: ["Evidence", "依据"], name: id => evidenceWord(id) },
  ];
  const wordOf = field => id => { const v = values.find(v => v[field] === id); return v ? own(v, field) : id; };
  const waveWord = wordOf("wave"), evidenceWord = wordOf("evidence");
  const state = {};
  let search = "", indicator = "";
  const everything = Object.fromEntries(CHOICES.map(c => [c.key, new Set(values.map(v => v[c.of]))]));

  // The fragment of the address names the view. What it asks for and this edition does not have is said, never cut in silence.
  const read = () => {
    const link = new URLSearchParams(location.hash.replace(/^#/, "")), missing = [];
    for (const choice of CHOICES) {
      const named = link.has(choice.key) ? (choice.one ? [link.get(choice.key)] : link.get(choice.key).split(",").filter(Boolean)) : [];
      missing.push(...named.filter(id => !everything[choice.key].has(id)).map(id => `${said(...choice.word)}: ${id}`));
      if (choice.one) state[choice.key] = named[0] ?? choice.first ?? values.find(v => v.choice !== "" && v.evidence === "household")?.metric_id ?? given.measures[0]?.metric_id ?? "";
      else state[choice.key] = new Set(named);
    }
    search = link.get("q") || ""; indicator = link.get("i") || "";
    if (indicator && !indicators.has(indicator)) { missing.push(`${said("Indicator", "指标")}: ${indicator}`); indicator = ""; }
    for (const key of link.keys()) if (![...CHOICES.map(c => c.key), "q", "i", "view", "find", "content"].includes(key)) missing.push(key);
    $("said").hidden = !missing.length;
    $("said").textContent = missing.length ? said("The link asks for what this edition does not have (withdrawn, withheld or misspelt): ", "链接所指内容在本版中不存在（已撤回、未公开或拼写有误）：") + missing.join("; ") : "";
  };
  const fragment = () => {
    const link = new URLSearchParams();
    for (const { key, one } of CHOICES) {
      if (one) link.set(key, state[key]); else if (state[key].size) link.set(key, [...state[key]].join(","));
    }
    if (search) link.set("q", search);
    if (indicator) link.set("i", indicator);
    return "#" + link.toString().replaceAll("%2C", ",");
  };

  const fits = (value, except) => CHOICES.every(({ key, of, one }) => key === except
    || (one ? value[of] === state[key] : !state[key].size || state[key].has(value[of]) || (key === "s" && value[of] === "" && value.evidence !== "household")));
  const offered = choice => {
    const before = CHOICES.slice(0, CHOICES.indexOf(choice)).filter(c => c.one);
    const found = unique(values.filter(v => before.every(c => v[c.of] === state[c.key])).map(v => v[choice.of]));
    return choice.key === "m" ? given.measures.map(m => m.metric_id) : found.filter(id => id !== "" || choice.one);
  };
  const controls = () => {
    $("choices").replaceChildren(...CHOICES.flatMap(choice => {
      const ids = offered(choice), title = said(...choice.word);
      if (choice.one) {
        const select = make("select", { id: "choose-" + choice.key });
        const shown = ids.includes(state[choice.key]) ? ids : [state[choice.key], ...ids];
        select.append(...shown.map(id => make("option", { value: id, selected: id === state[choice.key] }, choice.name(id))));
        select.addEventListener("change", () => { state[choice.key] = select.value; if (choice.key !== "b") state.u = new Set(); settle(choice); changed(); });
        return [make("label", {}, make("span", {}, title), select)];
      }
      if (choice.key === "u" && state.g === "all" || ids.length < 2 && !state[choice.key].size) return [];
      const box = make("fieldset", {}, make("legend", {}, title));
      for (const id of unique([...ids, ...state[choice.key]])) {
        const button = make("button", { type: "button", className: "chip" }, choice.name(id));
        button.dataset.key = choice.key; button.dataset.id = id;
        button.setAttribute("aria-pressed", state[choice.key].has(id));
        button.addEventListener("click", () => {
          if (!state[choice.key].delete(id)) state[choice.key].add(id);
          changed();
          document.querySelector(`.chip[data-key="${choice.key}"][data-id="${CSS.escape(id)}"]`)?.focus();
        });
        box.append(button);
      }
      return [box];
    }));
  };
  // A new measure may lack the group or the weights chosen before: take what there is.
  const settle = changedChoice => {
    for (const choice of CHOICES.slice(CHOICES.indexOf(changedChoice) + 1).filter(c => c.one)) {
      const ids = offered(choice);
      if (!ids.includes(state[choice.key])) state[choice.key] = ids.includes(choice.first) ? choice.first : ids[0] ?? choice.first;
    }
  };

  const number = v => v === null || v === undefined ? "–" : Number(v).toLocaleString("en", { maximumSignificantDigits: 4, useGrouping: Math.abs(v) >= 10000 });
  const order = [...regionWords.keys()];
  const chosen = () => values.filter(v => fits(v)).sort((a, b) => order.indexOf(a.region) - order.indexOf(b.region)
    || a.survey_id.localeCompare(b.survey_id) || a.group_id.localeCompare(b.group_id) || a.evidence.localeCompare(b.evidence) || a.wave_order - b.wave_order);
  const badge = v => [v.n_indicators === null ? "" : `${SIGNS[v.status] || ""} ${v.n_indicators}/${v.n_indicators_defined}`.trim(), v.is_synthetic ? said("made up", "虚构") : ""].filter(Boolean).join(" · ");
  const COLUMNS = [
    ["Region", "地区", v => own(v, "region")], ["Survey or source", "调查或来源", v => v.survey_id ? own(surveyWords.get(v.survey_id) || { title: v.survey_id }, "title") : v.source_id],
    ["Wave", "轮次", v => own(v, "wave")], ["Group", "组", v => groupWord(v.group_type, v.group_id)], ["Evidence", "依据", v => own(v, "evidence")],
    ["Value", "数值", v => number(v.value), "gt_right"], ["95 % from", "95%下限", v => number(v.ci_low), "gt_right"], ["to", "上限", v => number(v.ci_high), "gt_right"],
    ["Households", "户数", v => number(v.n), "gt_right"], ["Sampling units", "抽样单元", v => number(v.n_units), "gt_right"],
    ["Indicators", "指标数", v => v.n_indicators === null ? "–" : `${v.n_indicators} / ${v.n_indicators_defined}`, "gt_right"], ["Comparable", "可比性", v => own(v, "status") || "–"],
    ["Made up", "虚构", v => v.is_synthetic ? said("yes", "是") : said("no", "否")], ["Remark", "说明", v => [own(v, "interval_reason"), v.note === `${v.n_indicators} of ${v.n_indicators_defined} indicators asked` ? "" : own(v, "note")].filter(Boolean).join("; ")],
  ];
  const table = (columns, rows) => make("table", {},
    make("thead", {}, make("tr", {}, ...columns.map(c => make("th", { scope: "col", className: c[3] || "" }, said(c[0], c[1]))))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...columns.map(c => { return make("td", { className: c[3] || "" }, c[2](row) ?? "–"); })))));
  const figure = (rows, measure) => {
    const label = v => [own(v, "region"), v.group_id === "all" ? "" : groupWord(v.group_type, v.group_id), own(v, "wave"), v.evidence === "household" ? "" : own(v, "evidence")].filter(Boolean).join(" · ");
    const seen = new Map(), data = rows.map(v => {
      const text = label(v), again = (seen.get(text) || 0) + 1; seen.set(text, again);
      return { label: again > 1 ? `${text} (${again})` : text, region: own(v, "region"), value: v.value, low: v.ci_low, high: v.ci_high, n: v.n, badge: badge(v), hollow: v.evidence !== "household" };
    });
    const regions = order.filter(r => rows.some(v => v.region === r));
    const colour = { field: "region", type: "nominal", legend: null, scale: { domain: regions.map(r => own(regionWords.get(r), "region")), range: regions.map(r => regionWords.get(r).colour) } };
    const y = { field: "label", type: "nominal", sort: null, title: null, axis: { labelLimit: 320 } };
    const x = { field: "value", type: "quantitative", title: `${own(measure, "label")} (${own(measure, "unit")})`, scale: { zero: false, nice: true }, axis: { tickCount: 6 } };
    const tooltip = [["label", "", ""], ["value", "Value", "数值"], ["low", "95 % from", "95%下限"], ["high", "to", "上限"], ["n", "Households", "户数"], ["badge", "Indicators, comparability", "指标数与可比性"]]
      .map(([field, en, zh]) => ({ field, type: ["label", "badge"].includes(field) ? "nominal" : "quantitative", title: said(en, zh) || said("Row", "行"), ...(["value", "low", "high"].includes(field) ? { format: ".4~g" } : {}) }));
    const shown = data.filter(d => d.low !== null);
    return {
      description: `${own(measure, "label")}: ${data.map(d => `${d.label} ${number(d.value)}`).join("; ")}`,
      width: "container", height: { step: 26 }, autosize: { type: "fit-x", contains: "padding" }, data: { values: data },
      layer: [
        ...(shown.length ? [{ transform: [{ filter: "isValid(datum.low)" }], mark: { type: "rule", strokeWidth: 2 }, encoding: { y, x: { ...x, field: "low" }, x2: { field: "high" }, color: colour } }] : []),
        { transform: [{ filter: "!datum.hollow" }], mark: { type: "point", filled: true, size: 90, opacity: 1 }, encoding: { y, x, color: colour, tooltip } },
        { transform: [{ filter: "datum.hollow" }], mark: { type: "point", filled: false, size: 90, strokeWidth: 2, opacity: 1 }, encoding: { y, x, color: colour, tooltip } },
        { mark: { type: "text", align: "left", fontSize: 11, dx: 6 }, encoding: { y, x: { value: "width" }, text: { field: "badge" } } },
      ],
      padding: { left: 4, top: 4, bottom: 4, right: 120 },
    };
  };
  const literal = text => "'" + text.replaceAll("'", "''") + "'";
  const query = () => {
    if (!["", "common"].includes(state.b)) return `SELECT region, wave, value, rank FROM analysis.sensitivity\nWHERE metric_id = ${literal(state.m)} AND combination_id = ${literal(state.b)}\nORDER BY region, wave;`;
    const column = state.b === "common" ? "common_value, common_ci_low, common_ci_high, n_indicators_common" : "value, ci_low, ci_high, n_indicators";
    const any = ["r", "w", "u", "e"].filter(k => state[k].size).map(k => `\n  AND ${CHOICES.find(c => c.key === k).of} IN (${[...state[k]].map(literal).join(", ")})`);
    if (state.s.size) any.push(`\n  AND (evidence <> 'household' OR source_id IN (${[...state.s].map(literal).join(", ")}))`);
    return `SELECT region, source_id, wave, group_id, evidence, ${column}, n_indicators_defined, status, n, is_synthetic\nFROM analysis.region_comparison\nWHERE metric_id = ${literal(state.m)} AND group_type = ${literal(state.g)}${any.join("")}\nORDER BY region, group_id, wave_order;`;
  };
  let drawing = 0;
  const show = async () => {
    const turn = ++drawing, measure = measures.get(state.m), rows = measure ? chosen() : [];
    controls();
    $("measure-title").replaceChildren(measure ? own(measure, "label") : state.m || said("No measure", "没有指标"));
    if (rows.some(v => v.is_synthetic)) $("measure-title").append(make("span", { className: "badge" }, said("made up", "虚构数据")));
    $("nothing").hidden = rows.length > 0;
    for (const part of [$("chart"), $("rows"), document.querySelector("#chosen .tools")]) part.hidden = !rows.length;
    $("caption").textContent = rows.length ? said(
      `${rows.length} values. Bars: 95 % intervals by sampling units, where the sample has enough of them. Beside a mark: indicators answered of those the measure is made of (= identical, ~ compatible, p proxy). Hollow: printed in a paper.`,
      `${rows.length}个数值。横线为按抽样单元计算的95%区间（抽样单元足够时）。标记旁为已回答指标数与定义指标数（=一致，~可比，p替代）。空心为论文印刷值。`) : "";
    $("rows").replaceChildren(table(COLUMNS, rows));
    $("method").replaceChildren(...(measure ? [
      make("p", {}, `${said("Formula", "公式")}: ${own(measure, "formula") ?? measure.formula_en ?? "–"}`), make("p", {}, `${said("Unit", "单位")}: ${own(measure, "unit")} · ${said("from", "来源")} ${measure.source_table}`),
      make("p", {}, `${said("Comparability", "可比性")}: ${own(measure, "comparability_note") ?? measure.comparability_note_en ?? "–"}`), make("pre", {}, query())] : []));
    if (rows.length) {
      $("chart").style.minWidth = "620px";
      await Page.embed($("chart"), figure(rows, measure));
      if (turn !== drawing) return;
    }
    $("chart").dataset.drawn = language() + root.dataset.theme;
    Page.signs();
  };

  const texts = new Map(given.indicators.map(i => [i.indicator_id, Object.values(i).filter(v => typeof v === "string").join(" ").toLowerCase()]));
  for (const q of questions) texts.set(q.indicator_id, `${texts.get(q.indicator_id) || ""} ${(q.question || "").toLowerCase()}`);
  const ASKED = [
    ["Survey", "调查", q => `${own(q, "region")} · ${own(q, "wave")}`], ["Question in the file", "文件中的问题", q => quoted(q.question)], ["Verdict", "结论", q => own(q, "status")],
    ["Evidence", "依据", q => language() === "zh" && q.basis_zh ? q.basis_zh : quoted(q.basis)], ["Answers", "有答案", q => number(q.n), "gt_right"], ["Missing", "缺失", q => number(q.n_missing), "gt_right"], ["Made up", "虚构", q => q.is_synthetic ? said("yes", "是") : said("no", "否")],
  ];
  const find = () => {
    if ($("search").value !== search) $("search").value = search;
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = given.indicators.filter(i => words.every(w => texts.get(i.indicator_id).includes(w)));
    $("count").textContent = said(`${hits.length} of ${given.indicators.length} indicators`, `${given.indicators.length}个指标中的${hits.length}个`);
    $("found").replaceChildren(...hits.map(i => {
      const button = make("button", { type: "button", className: "chip" }, own(i, "label"));
      button.dataset.indicator = i.indicator_id; button.setAttribute("aria-pressed", i.indicator_id === indicator);
      button.addEventListener("click", () => { indicator = i.indicator_id; changed(); $("indicator").scrollIntoView({ block: "nearest" }); });
      return make("li", {}, button);
    }));
    const i = indicators.get(indicator), box = $("indicator");
    box.hidden = !i;
    if (!i) return;
    const compare = make("button", { type: "button" }, said("Compare its values", "比较其数值"));
    compare.addEventListener("click", () => { state.m = indicator; state.u = new Set(); settle(CHOICES[0]); changed(); $("view").scrollIntoView(); });
    box.replaceChildren(make("h3", {}, own(i, "label")), make("p", {}, own(i, "definition") ?? i.definition_en ?? ""),
      make("p", { className: "lead" }, [i.indicator_id, own(i, "dimension_label"), own(i, "unit"), own(i, "type")].filter(Boolean).join(" · ")),
      ...(measures.has(indicator) ? [make("p", { className: "tools" }, compare)] : []),
      make("p", { className: "lead" }, said("In quotation marks: the words of the survey itself, in the language it was written in.", "引号内为调查自身的文字，保留其所用语言。")),
      make("div", { className: "table asked" }, table(ASKED, questions.filter(q => q.indicator_id === indicator))));
  };
  const changed = () => { history.replaceState(null, "", fragment()); $("said").hidden = true; find(); return show(); };
  const again = () => { read(); find(); return show(); };
  addEventListener("hashchange", again);
  // links to parts of the page would take the place of the view's address
  document.querySelectorAll("a[data-section], a.skip").forEach(a => a.addEventListener("click", event => { event.preventDefault(); document.querySelector(a.getAttribute("href")).scrollIntoView(); }));
  $("choices").addEventListener("submit", event => event.preventDefault());
  $("search").addEventListener("input", () => { search = $("search").value; history.replaceState(null, "", fragment()); find(); });
  $("copy").addEventListener("click", async () => {
    const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    $("copy").textContent = done ? said("Copied", "已复制") : said("Copy it from the address bar", "请从地址栏复制");
  });
  document.querySelector("#chosen .tools").addEventListener("click", event => {
    const kind = event.target.dataset && event.target.dataset.save, measure = measures.get(state.m);
    if (!kind) return;
    if (kind === "csv") { const names = given.values.columns; Page.save(state.m + ".csv", Page.csv(names, chosen().map(v => names.map(n => v[n]))), "text/csv"); return; }
    const mark = chosen().some(v => v.is_synthetic) ? said("made up", "虚构数据") : "";
    Page.savePicture(kind, state.m, own(measure, "label"), [{ view: $("chart"), title: "" }], [$("caption").textContent, mark, location.hash]);
  });
  read();
  Page.start(again);
  find();
  show().then(() => { if (asked.has("all")) root.dataset.ready = "all"; });
})();
