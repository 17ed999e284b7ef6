function render({ model, el: host }) {
  const chart = makeChart(model.get("height"));
  adopt(host);
  host.append(chart.root);
  const update = () => chart.set(model.get("spec"));
  model.on("change:spec", update);
  update();
  return () => {
    model.off("change:spec", update);
    chart.stop();
  };
}

export default { render };
