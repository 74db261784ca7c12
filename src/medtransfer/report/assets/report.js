// Scripts only add to the page: tooltips on the charts, sorting and filtering in the tables.
const specs = JSON.parse(document.getElementById("charts").textContent);
for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const live = figure.querySelector(".live");
  const options = { ast: true, actions: false, renderer: "svg" };
  vegaEmbed(live, specs[figure.dataset.chart], options).then(
    () => {
      live.setAttribute("aria-label", live.dataset.words);
      figure.querySelector(".static").remove();
    },
    () => live.remove(),
  );
}
const value = (cell) => {
  const number = parseFloat(cell.textContent.replace(/,/g, "").replace(/−/g, "-"));
  return Number.isNaN(number) ? cell.textContent : number;
};
for (const head of document.querySelectorAll("th[data-sort]")) {
  const sort = () => {
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const up = head.dataset.sort !== "up";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.dataset.sort = up ? "up" : "down";
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a.cells[column]), value(b.cells[column])];
      return (x > y ? 1 : x < y ? -1 : 0) * (up ? 1 : -1);
    });
    body.append(...rows);
  };
  head.tabIndex = 0;
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (pressed) => {
    if (pressed.key !== "Enter" && pressed.key !== " ") return;
    pressed.preventDefault();
    sort();
  });
}
const MIN_ROWS = 15;
for (const box of document.querySelectorAll(".scroll")) {
  const rows = [...box.querySelectorAll("tbody tr")];
  if (rows.length < MIN_ROWS) continue;
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.className = "filter";
  label.textContent = "Rows that contain";
  input.type = "search";
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  label.append(input);
  box.before(label);
}
