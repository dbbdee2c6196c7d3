// Draws the leaderboard that Python describes. Knows no statistic: every text comes ready made.

const sorted = new WeakMap(); // which column the visitor sorted by, per mounted table

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

function bar(parts) {
  const line = make("span", "bar");
  line.setAttribute("aria-hidden", "true");
  const [low, mean, high, zero] = parts;
  if (zero >= 0 && zero <= 1) {
    const origin = make("i", "zero");
    origin.style.left = `${100 * zero}%`;
    line.append(origin);
  }
  const range = make("i", "range");
  range.style.left = `${100 * low}%`;
  range.style.width = `${100 * (high - low)}%`;
  const dot = make("i", "dot");
  dot.style.left = `${100 * mean}%`;
  line.append(range, dot);
  return line;
}

function drawCell(cell) {
  const field = make("td", `${cell.verdict.replace(" ", "-")}${cell.leads ? " leads" : ""}`);
  field.title = cell.words;
  const top = make("span", "top");
  top.append(make("span", "number", cell.text));
  if (cell.mark) {
    const mark = make("span", "mark", cell.mark);
    mark.setAttribute("aria-label", cell.verdict);
    top.append(mark);
  }
  if (cell.rank) top.append(make("span", "rank", cell.rank));
  field.append(top);
  if (cell.bar) field.append(bar(cell.bar));
  field.append(make("span", "below", cell.below));
  field.append(make("span", cell.short ? "count short" : "count", cell.count));
  return field;
}

function drawHead(data, order, sortBy, pick) {
  const head = make("tr");
  head.append(make("th", "corner", "System"));
  data.columns.forEach((column, place) => {
    const field = make("th");
    field.scope = "col";
    field.title = column.words;
    const button = make("button", "", column.name);
    button.type = "button";
    button.title = `Sort by ${column.id} and show it in detail`;
    button.addEventListener("click", () => {
      sortBy(place);
      pick(column.id);
    });
    if (order && order.place === place) {
      field.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      button.append(make("span", "way", order.down ? " ▾" : " ▴"));
    }
    field.append(button, make("span", "unit", column.below));
    head.append(field);
  });
  return head;
}

function inOrder(data, order) {
  if (!order) return data.rows;
  const sign = order.down ? -1 : 1;
  return [...data.rows].sort((one, other) => {
    const [a, b] = [one.cells[order.place].value, other.cells[order.place].value];
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (a - b);
  });
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".board");

  const draw = () => {
    let order = sorted.get(parentElement);
    if (order && order.place >= data.columns.length) order = undefined;
    const table = make("table");
    table.append(make("caption", "", data.caption));
    const head = make("thead");
    head.append(
      drawHead(
        data,
        order,
        (place) => {
          const better = data.columns[place].better;
          const first = better !== "lower";
          const again = order && order.place === place;
          sorted.set(parentElement, { place, down: again ? !order.down : first });
          draw();
          root.querySelectorAll("thead button")[place].focus();
        },
        (id) => setStateValue("picked", id),
      ),
    );
    const body = make("tbody");
    for (const row of inOrder(data, order)) {
      const line = make("tr", row.baseline ? "baseline" : "");
      const name = make("th");
      name.scope = "row";
      name.append(make("span", "system", row.system));
      const kind = row.baseline ? `${row.kind} · baseline` : row.kind;
      name.append(make("span", "kind", kind));
      if (row.note) name.append(make("span", "kind", row.note));
      line.append(name, ...row.cells.map(drawCell));
      body.append(line);
    }
    table.append(head, body);
    root.replaceChildren(table);
  };
  draw();
}
