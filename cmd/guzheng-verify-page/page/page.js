"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const all = JSON.parse($("words").textContent);
  const kinds = ["package", "seal", "trust"];
  const chosen = { package: null, seal: null, trust: null };
  const maxSmall = 8 << 20; // no seal or trust file is longer, in bytes
  let lang = "zh-CN", core = null, worker = null, shown = null;

  // Everything that comes from a package is set as text, never as markup.
  const node = (name, props, ...children) => {
    const e = Object.assign(document.createElement(name), props);
    e.append(...children);
    return e;
  };
  const has = (key) => key in all[lang];
  const say = (key, data) => (all[lang][key] ?? key).replace(/\{\{\.(\w+)\}\}/g, (_, name) => data[name]);
  const look = { passed: ["passed", "✓"], failed: ["failed", "✗"], "cannot tell": ["unknown", "?"] };
  const mark = (outcome) => node("span", { className: "mark" }, look[outcome][1] + " " + say("outcome." + outcome));
  const worst = (checks) => checks.some((c) => c.outcome === "failed") ? "failed" : checks.some((c) => c.outcome !== "passed") ? "cannot tell" : "passed";

  // Layers of a verdict, by the first part of a check's name.
  const layers = [
    ["package", /^(zip|datapackage|files\.|take|raw\.root|warc|index|pages|package\.)/],
    ["seal", /^seal\./], ["raw", /^raw\.stamp\./], ["stamp", /^stamp\./], ["log", /^log\./],
  ];

  function words() {
    document.documentElement.lang = lang;
    document.title = say("page.title");
    for (const e of document.querySelectorAll("[data-word]")) e.textContent = say(e.dataset.word);
    $("language").textContent = lang === "en" ? "中文" : "English";
    names();
    if (shown) show(shown);
  }

  function names() {
    for (const kind of kinds) $(kind + "-name").textContent = chosen[kind] ? chosen[kind].name : "";
    $("start").disabled = !chosen.package || !core || worker !== null;
  }

  function status(text) { $("status").textContent = text; }

  // sort finds out which of the dropped files is what. Of seals the one with
  // the highest number counts, as beside a package on disk.
  async function sort(files) {
    const number = (name) => Number((/\.seal(?:-([1-9]\d*))?\.json$/.exec(name) ?? [])[1] ?? 0);
    const got = { package: [], seal: [], trust: [] };
    for (const f of files) {
      if (/\.wacz$/i.test(f.name)) got.package.push(f);
      else if (f.size < maxSmall && /\.json$/i.test(f.name)) {
        const head = await f.slice(0, 4096).text();
        if (/"guzheng-seal\/\d+"/.test(head)) got.seal.push(f);
        if (/"guzheng-trust\/\d+"/.test(head)) got.trust.push(f);
      }
    }
    got.seal.sort((a, b) => number(a.name) - number(b.name));
    clear();
    if (!kinds.some((kind) => got[kind].length)) status(say("page.nothing"));
    if (got.package.length > 1) status(say("page.one"));
    if (got.package.length) chosen.seal = null; // it was that of another package
    for (const kind of kinds) if (got[kind].length) chosen[kind] = got[kind].at(-1);
    names();
  }

  // clear takes a result away that is about other files than the chosen ones.
  function clear() {
    shown = null;
    $("result").hidden = true;
    status("");
  }

  function end() {
    if (worker) worker.terminate();
    worker = null;
    $("progress").hidden = $("stop").hidden = true;
    names();
  }

  function start() {
    end();
    clear();
    const size = chosen.package.size;
    worker = new Worker(URL.createObjectURL(new Blob([$("worker").textContent], { type: "text/javascript" })));
    worker.onerror = (e) => { end(); status(say("page.error", { why: e.message })); };
    worker.onmessage = ({ data }) => {
      if (data.read) {
        // Once for all digests, and the traffic, most of it, once more.
        $("progress").value = Math.min(data.read / (2 * size), 0.99);
        status(say("page.running", { read: Math.round(data.read / 1e6) }));
      }
      const why = data.error ?? (data.result && data.result.error) ?? (data.ended && !shown ? say("page.ended") : null);
      if (why) { end(); status(say("page.error", { why })); }
      else if (data.result) { shown = { ...data.result, name: chosen.package.name }; end(); status(""); show(shown); $("result").focus(); }
    };
    $("progress").value = 0;
    $("progress").hidden = $("stop").hidden = false;
    $("start").disabled = true;
    status(say("page.running", { read: 0 }));
    worker.postMessage({ core, package: chosen.package, seal: chosen.seal, trust: chosen.trust });
  }

  function line(check) {
    const e = node("li", { className: look[check.outcome][0] }, mark(check.outcome), "  ", has("check." + check.name) ? say("check." + check.name) : check.name);
    e.dataset.check = check.name;
    e.dataset.outcome = check.outcome;
    e.dataset.code = check.code ?? "";
    e.dataset.subject = check.subject ?? "";
    if (check.subject) e.append(" [" + check.subject + "]");
    if (check.code) e.append(lang === "en" ? ": " : "：", has("checkcode." + check.code) ? say("checkcode." + check.code) : check.code);
    if (check.detail) e.append(node("span", { className: "detail", lang: "en" }, check.detail));
    return e;
  }

  function show(r) {
    $("verdict").className = look[r.outcome][0];
    $("verdict").dataset.outcome = r.outcome;
    $("verdict").textContent = look[r.outcome][1] + " " + say("outcome." + r.outcome) + (lang === "en" ? ": " : "：") + say("page.verdict." + r.outcome);
    $("layers").replaceChildren(...layers.flatMap(([name, which]) => {
      const checks = r.verdict.checks.filter((c) => which.test(c.name));
      if (!checks.length) return [];
      const outcome = worst(checks);
      const e = node("section", { className: "layer " + look[outcome][0] },
        node("h3", {}, mark(outcome), "  ", say("page.layer." + name)), node("p", {}, say("page.layer." + name + "." + outcome)),
        node("ul", {}, ...checks.map(line)));
      e.dataset.layer = name;
      e.dataset.outcome = outcome;
      return [e];
    }));
    facts(r);
    $("result").hidden = false;
  }

  function facts(r) {
    const beijing = (t) => new Date(t).toLocaleString("sv-SE", { timeZone: "Asia/Shanghai" });
    const pairs = [["file", r.name], ["id", r.id], ["url", r.url], ["heading", r.title], ["bytes", r.verdict.package.bytes],
      ["sha256", r.verdict.package.sha256], ["sm3", r.verdict.package.sm3], ["signer", r.signer ?? say("page.none")]];
    for (const s of r.stamps ?? []) {
      pairs.push([s.raw ? "stamp.raw" : "stamp", say("page.stamped", { time: beijing(s.time), by: s.practice ? say("page.practice") : s.name })]);
    }
    if (!(r.stamps ?? []).length) pairs.push(["stamp", say("page.none")]);
    pairs.push(["log", r.log ? say("page.logged", { origin: r.log.origin, number: r.log.number, size: r.log.size, root: r.log.root }) : say("page.none")]);
    $("facts").replaceChildren(...pairs.filter((p) => p[1] !== undefined && p[1] !== "").map(([key, value]) =>
      node("tr", {}, node("th", { scope: "row" }, say("page.fact." + key)), node("td", { className: "code" }, String(value)))));
    const files = r.files ?? [];
    $("files-title").textContent = say("page.files", { n: files.length });
    const head = ["path", "bytes", "sha256", "sm3"];
    $("files").replaceChildren(node("tr", {}, ...head.map((h) => node("th", { scope: "col" }, say("page.file." + h)))),
      ...files.map((f) => node("tr", {}, ...head.map((h) => node("td", {}, String(f[h]))))));
  }

  // unpack compiles the core once; it is stored as gzip in base64.
  async function unpack() {
    const text = atob($("core").textContent.trim());
    const packed = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    core = await WebAssembly.compile(await new Response(stream).arrayBuffer());
  }

  for (const kind of kinds) $(kind).addEventListener("change", (e) => { chosen[kind] = e.target.files[0] ?? null; end(); clear(); names(); });
  $("choose").addEventListener("submit", (e) => { e.preventDefault(); if (!$("start").disabled) start(); });
  $("stop").addEventListener("click", () => { end(); status(say("page.stopped")); });
  $("language").addEventListener("click", () => { lang = lang === "en" ? "zh-CN" : "en"; words(); });
  for (const type of ["dragover", "drop", "dragleave"]) {
    document.addEventListener(type, (e) => {
      e.preventDefault();
      $("drop").classList.toggle("over", type === "dragover");
      if (type === "drop" && !worker) sort([...e.dataTransfer.files]);
    });
  }
  words();
  status(say("page.loading"));
  unpack().then(() => { status(""); names(); document.documentElement.dataset.ready = "yes"; },
    (e) => status(say("page.unsupported", { why: String(e) })));
})();
