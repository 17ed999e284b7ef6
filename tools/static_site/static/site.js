// Drives the course's own widgets in a plain page: a model without a kernel behind it. What a kernel
// would compute is there already (states of panels) or is marked here (quizzes, see quiz_marks.js).

const fedcoreSite = (() => {
  const kinds = {};
  const stored = {}; // path of a state: how to hand it over
  const models = {};

  // The interface that an anywidget has of its model; `kernel(model, name)` is told of what is saved.
  function makeModel(state, kernel) {
    const listeners = {};
    const tell = (name, ...rest) => (listeners[name] || []).slice().forEach((heard) => heard(...rest));
    return {
      get: (name) => state[name],
      set(name, value) {
        if (state[name] === value) return;
        state[name] = value;
        tell(`change:${name}`);
      },
      on: (names, heard) => names.split(" ").forEach((name) => (listeners[name] ??= []).push(heard)),
      off: (names, heard) =>
        names.split(" ").forEach((name) => {
          listeners[name] = (listeners[name] || []).filter((other) => other !== heard);
        }),
      save_changes() {
        kernel.saved?.(this);
      },
      send(content) {
        kernel.sent?.(this, content);
      },
      tell,
    };
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  // A state comes as a script, since a page on disk may not fetch.
  function load(path) {
    if (!stored[path]) {
      stored[path] = {};
      stored[path].ready = new Promise((resolve, reject) => {
        stored[path].hand = (packed) => resolve(unpack(packed));
        const script = document.createElement("script");
        script.src = path;
        script.onerror = () => reject(new Error(`${path} is missing`));
        document.head.append(script);
      });
    }
    return stored[path].ready;
  }

  // ------------------------------------------------------------------------------- live panels

  function panelKernel(data) {
    const { controls } = data.state;
    let shown = { ...data.state.request.values }; // of the state on the screen
    let before = null; // {view, values} of the finished run before
    let answered = 0;

    const place = (values) => {
      const split = controls.find((control) => control.name === "split");
      const chosen = split && split.texts[values.split];
      const start = data.start;
      return controls.map((c) => (split && c.needs && c.needs !== chosen ? start[c.name] : values[c.name])).join(",");
    };
    const told = (control, at) => `${control.symbol || control.label}\u00a0=\u00a0${control.texts[at]}`;

    // The nearest setting that was computed: it keeps the control that has just moved.
    function nearest(values, moved) {
      if (data.states[place(values)]) return values;
      const names = controls.map((control) => control.name);
      const candidates = Object.keys(data.states).map((key) =>
        Object.fromEntries(key.split(",").map((at, i) => [names[i], Number(at)])),
      );
      const distance = (other) => names.reduce((sum, n) => sum + (other[n] !== values[n] ? 100 : 0) + Math.abs(other[n] - values[n]), 0);
      const fit = candidates.filter((other) => moved.every((n) => other[n] === values[n]));
      return (fit.length ? fit : candidates).reduce((best, other) => (distance(other) < distance(best) ? other : best));
    }

    async function saved(model) {
      const { seq, action, values } = model.get("request");
      if (seq <= answered || action === "stop") return;
      answered = seq;
      const wanted = action === "reset" ? data.start : values;
      const moved = controls.map((c) => c.name).filter((name) => wanted[name] !== shown[name]);
      const near = nearest(wanted, moved);
      const back = controls.filter((c) => near[c.name] !== wanted[c.name]);
      if (back.length || action === "reset") {
        answered = seq + 1;
        model.set("request", { seq: seq + 1, action: "run", values: { ...near } });
      }
      const number = model.get("request").seq;
      const key = place(near);
      const state = await load(data.states[key]);
      if (model.get("request").seq !== number) return; // moved on meanwhile
      const note = back.length ? ` Moved to a setting that was computed: ${back.map((c) => told(c, near[c.name])).join(", ")}.` : "";
      show(model, state, number, near, note);
    }

    function show(model, state, seq, values, note) {
      if (state.held) model.set("held", { ...state.held, run: seq });
      if (state.code) model.set("code", state.code);
      for (const message of state.messages) model.tell("msg:custom", { ...message, seq });
      const view = { ...state.view, seq, status: state.view.status + note };
      if (view.map) view.map = { ...view.map, run: seq };
      if (before && key(before.values) !== key(values)) compare(view, before, values);
      before = { view: state.view, values: { ...values } };
      shown = { ...values };
      model.set("view", view);
    }

    const key = (values) => place(values);

    // What Python adds about the finished run before: its curve, its figures.
    function compare(view, last, values) {
      const differ = controls.filter((c) => last.values[c.name] !== values[c.name]);
      const name = `previous run: ${differ.map((c) => told(c, last.values[c.name])).join(", ")}`;
      const accuracy = last.view.current ? last.view.current.accuracy : null;
      if (accuracy) {
        view.before = { name, accuracy };
        view.floor = Math.min(view.floor, last.view.floor);
      }
      if (!view.tiles) return;
      const values_ = Object.fromEntries(last.view.tiles.map((tile) => [tile.name, tile.value]));
      view.tiles = view.tiles.map((tile) => ({ ...tile, before: values_[tile.name] || "" }));
    }

    function sent(model, content) {
      if (content.kind !== "code") return;
      useCode(model, content.code.trim().toUpperCase()).then((text) => model.tell("msg:custom", { kind: "code", text }));
    }

    // A share code names a setting; here only those that were computed can be shown.
    async function useCode(model, code) {
      for (const [positions, path] of Object.entries(data.states)) {
        const state = await load(path);
        if (state.code !== code) continue;
        const values = Object.fromEntries(positions.split(",").map((at, i) => [controls[i].name, Number(at)]));
        model.set("request", { seq: model.get("request").seq + 1, action: "run", values });
        await saved(model);
        return "The sliders stand where the code says.";
      }
      return "This setting was not computed for this page: use the code in JupyterLab.";
    }

    return { saved, sent };
  }

  // Buttons that only mean something while a kernel trains.
  function hideButtons(host) {
    for (const button of host.querySelectorAll("button")) {
      if (["Stop", "Run again"].includes(button.textContent)) button.hidden = true;
    }
  }

  // ---------------------------------------------------------------------- predictions, quizzes

  const predictionKernel = {
    saved(model) {
      if (!model.get("locked")) return;
      model.set("note", "Locked in. The measured result is below.");
      model.tell("locked");
    },
  };

  function quizKernel(data) {
    return {
      sent(model, { question, answer }) {
        const mark = fedcoreMarks.mark(data.key[question], answer);
        if (mark.problem) return model.tell("msg:custom", { question, problem: mark.problem });
        const results = model.get("results");
        const tries = (results[question] || { tries: 0 }).tries + 1;
        model.set("results", { ...results, [question]: { ...mark, answer, tries, gained: 0 } });
      },
    };
  }

  // The result of a prediction: hidden until there is a guess, or the reader does without.
  function reveal(host, { prediction, result, choice, value }) {
    const model = models[prediction];
    const say = document.createElement("div");
    say.setAttribute("role", "status");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Show the result without a guess";
    button.onclick = () => {
      model.set("locked", true);
      model.save_changes();
    };
    host.replaceChildren(say, button);
    model.on("locked", () => {
      const guess = model.get("guess");
      button.remove();
      say.className = "result";
      const told = document.createElement("p");
      const measured = document.createElement("b");
      measured.textContent = result;
      told.append("Measured: ", measured, ". ", verdict(guess, choice, value));
      say.replaceChildren(told);
    });
  }

  function verdict(guess, choice, value) {
    if (!guess) return "You made no guess.";
    if (choice !== undefined) return guess.choice === choice ? "\u2713 Your guess is right." : "\u2717 Your guess was another.";
    const holds = guess.low <= value && value <= guess.high;
    return holds ? "\u2713 Your range holds it." : "\u2717 Your range misses it.";
  }

  // -------------------------------------------------------------------------------------- start

  function mount(host, data) {
    let kernel = {};
    if (data.states) {
      data.start = { ...data.state.request.values };
      kernel = panelKernel(data);
    } else if (data.kind === "Prediction") kernel = predictionKernel;
    else if (data.kind === "Quiz") kernel = quizKernel(data);
    const model = makeModel(data.state, kernel);
    models[host.id] = model;
    host.replaceChildren();
    kinds[data.kind].render({ model, el: host });
    if (data.states) hideButtons(host);
  }

  function start() {
    const read = (script) => JSON.parse(script.textContent);
    for (const script of document.querySelectorAll("script[data-for]")) mount(document.getElementById(script.dataset.for), read(script));
    for (const script of document.querySelectorAll("script[data-reveal]")) reveal(script.previousElementSibling, read(script));
  }

  document.addEventListener("DOMContentLoaded", start);
  return {
    define: (kind, module) => (kinds[kind] = module),
    state: (path, packed) => stored[path].hand(packed),
    models,
  };
})();
