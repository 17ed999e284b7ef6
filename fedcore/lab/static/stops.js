function render({ model, el: host }) {
  const control = { ...model.get("control"), index: model.get("index") };
  const slider = stops(control, (index) => {
    model.set("index", index);
    model.save_changes();
  });
  adopt(host);
  host.append(slider.root);
  const update = () => slider.choose(model.get("index"));
  model.on("change:index", update);
  return () => model.off("change:index", update);
}

export default { render };
