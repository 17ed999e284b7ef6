// Search over all pages: every word of the query must occur in a section, as the beginning of a word.

(() => {
  const form = document.querySelector("main form");
  const box = form.querySelector("input");
  const list = document.getElementById("results");
  const count = document.getElementById("count");
  const fold = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  let sections = [];

  // How well a section fits: in the heading counts most. 0: a word is missing.
  function score(section, words) {
    let sum = section.head === words.join(" ") ? 50 : 0;
    for (const word of words) {
      const begins = new RegExp(`(^|[^\\p{L}\\p{N}])${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`, "gu");
      const inText = (section.text.match(begins) || []).length;
      const inHead = begins.test(section.head) ? 1 : 0;
      if (!inText && !inHead) return 0;
      sum += 20 * inHead + Math.min(inText, 8);
    }
    return sum;
  }

  function excerpt(text, words) {
    const at = Math.max(0, fold(text).indexOf(words[0]));
    const from = Math.max(0, at - 70);
    const cut = text.slice(from, from + 220);
    const p = document.createElement("p");
    const pattern = new RegExp(`(${words.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "iu");
    p.append(from ? "\u2026 " : "");
    cut.split(new RegExp(pattern, "giu")).forEach((piece) => {
      if (!pattern.test(piece)) return p.append(piece);
      const mark = document.createElement("mark");
      mark.textContent = piece;
      p.append(mark);
    });
    p.append(" \u2026");
    return p;
  }

  function search() {
    const words = fold(box.value).split(/\s+/).filter(Boolean);
    const found = words.length ? sections.map((s) => ({ s, n: score(s, words) })).filter(({ n }) => n) : [];
    found.sort((a, b) => b.n - a.n);
    count.textContent = words.length ? `${found.length} section${found.length === 1 ? "" : "s"} found` : "";
    list.replaceChildren(
      ...found.slice(0, 40).map(({ s }) => {
        const item = document.createElement("li");
        const link = document.createElement("a");
        link.href = s.u;
        link.textContent = s.h === s.t ? s.t : `${s.t}: ${s.h}`;
        item.append(link, excerpt(s.x, words));
        return item;
      }),
    );
  }

  fedcoreSite.index = (entries) => {
    sections = entries.map((entry) => ({ ...entry, head: fold(entry.h), text: fold(entry.x) }));
    box.value = new URLSearchParams(location.search).get("q") || "";
    search();
  };
  box.addEventListener("input", search);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
})();
