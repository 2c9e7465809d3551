// Numbers and matrices as they are shown, and the eigenvalues of small symmetric ones.
const numbers = (function () {
  const MOST = 12; // rows and columns that are shown as numbers; larger matrices are pictures

  function format(value) {
    if (Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    if (value === 0) return "0";
    const size = Math.abs(value);
    const text = size >= 1e6 || size < 1e-4 ? value.toExponential(3).replace("e+", "e") : value.toPrecision(5);
    return text.replaceAll("-", "−");
  }

  /** Eigenvalues of a symmetric matrix by Jacobi's rotations, ascending; null where an entry is not finite. */
  function eigenvalues(entry, n) {
    const a = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => (entry(i, j) + entry(j, i)) / 2));
    if (a.some((row) => row.some((x) => !Number.isFinite(x)))) return null;
    for (let sweep = 0; sweep < 60; sweep++) {
      let off = 0, on = 0;
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (i !== j) off += a[i][j] ** 2; else on += a[i][i] ** 2;
      if (off <= 1e-28 * (on + off) || off === 0) break;
      for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) {
        if (a[p][q] === 0) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1), s = t * c;
        for (let k = 0; k < n; k++) {
          const x = a[k][p], y = a[k][q];
          a[k][p] = c * x - s * y;
          a[k][q] = s * x + c * y;
        }
        for (let k = 0; k < n; k++) {
          const x = a[p][k], y = a[q][k];
          a[p][k] = c * x - s * y;
          a[q][k] = s * x + c * y;
        }
      }
    }
    return a.map((row, i) => row[i]).sort((x, y) => x - y);
  }

  function definiteness(found) {
    const small = 1e-12 * Math.max(...found.map(Math.abs), 1e-300);
    if (found[0] > small) return "positive definite";
    if (found[found.length - 1] < -small) return "negative definite";
    if (found[0] >= -small) return "positive semidefinite";
    if (found[found.length - 1] <= small) return "negative semidefinite";
    return "indefinite";
  }

  /** A matrix in the page: a table of numbers, or a picture where there are too many. Returns what updates it. */
  function matrix(place, rows, columns, caption) {
    return rows.length <= MOST && columns.length <= MOST ? table(place, rows, columns, caption)
                                                         : picture(place, rows, columns, caption);
  }

  function header(html, scope) {
    const cell = document.createElement("th");
    cell.scope = scope;
    cell.innerHTML = html; // made by the sheet from names, escaped
    return cell;
  }

  function table(place, rows, columns, caption) {
    const made = document.createElement("table");
    const title = made.createCaption();
    title.className = "visually-hidden";
    title.textContent = caption;
    const top = made.createTHead().insertRow();
    top.append(document.createElement("td"));
    for (const column of columns) top.append(header(column.html, "col"));
    const body = made.createTBody();
    const cells = rows.map((row) => {
      const line = body.insertRow();
      line.append(header(row.html, "row"));
      return columns.map(() => line.insertCell());
    });
    place.replaceChildren(made);
    return function update(entry, row, column) {
      const largest = peak(entry, rows.length, columns.length);
      cells.forEach((line, i) => line.forEach((cell, j) => {
        const value = entry(i, j);
        cell.textContent = format(value);
        cell.dataset.value = String(value);
        cell.className = value === 0 ? "zero" : "";
        cell.style.setProperty("--tone", value < 0 ? "var(--down)" : "var(--up)");
        cell.style.setProperty("--heat", heat(value, largest));
      }));
      [...body.rows].forEach((line, i) => line.classList.toggle("picked", i === row));
      [...top.cells].forEach((cell, j) => cell.classList.toggle("picked", j === column + 1));
    };
  }

  function peak(entry, rows, columns) {
    let largest = 0;
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
      const size = Math.abs(entry(i, j));
      if (Number.isFinite(size) && size > largest) largest = size;
    }
    return largest;
  }

  /** How strongly a number is coloured, from 0 to 1: its square root beside that of the largest. */
  function heat(value, largest) {
    if (!Number.isFinite(value) || largest === 0) return 0;
    return Math.sqrt(Math.abs(value) / largest).toFixed(3);
  }

  function picture(place, rows, columns, caption) {
    const canvas = document.createElement("canvas");
    canvas.width = columns.length;
    canvas.height = rows.length;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${caption}, ${rows.length} by ${columns.length}, as colours`);
    const told = document.createElement("p");
    told.className = "note";
    place.replaceChildren(canvas, told);
    let latest = null;
    canvas.addEventListener("pointermove", (event) => {
      const j = Math.floor(event.offsetX / canvas.clientWidth * columns.length);
      const i = Math.floor(event.offsetY / canvas.clientHeight * rows.length);
      if (latest && rows[i] && columns[j]) told.textContent = `${rows[i].text}, ${columns[j].text}: ${format(latest(i, j))}`;
    });
    return function update(entry) {
      latest = entry;
      const largest = peak(entry, rows.length, columns.length);
      const style = getComputedStyle(document.documentElement);
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, canvas.width, canvas.height);
      for (let i = 0; i < rows.length; i++) for (let j = 0; j < columns.length; j++) {
        const value = entry(i, j);
        context.globalAlpha = heat(value, largest);
        context.fillStyle = style.getPropertyValue(value < 0 ? "--down" : "--up");
        if (value !== 0) context.fillRect(j, i, 1, 1);
      }
      told.textContent = `The largest entry has size ${format(largest)}.`;
    };
  }

  return { format, matrix, eigenvalues, definiteness };
})();
