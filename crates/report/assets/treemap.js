// The treemap of a size report. Where boxes go was worked out before: here they are shown, entered and left.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const map = document.getElementById("treemap");
  const trail = document.getElementById("trail");
  const rows = document.getElementById("rows");
  const here = document.getElementById("here");
  const news = document.getElementById("news");
  let at = 0;

  // Inner boxes of what is smaller than this part of the map could not be told apart.
  const LEAST = 0.012;
  // Inner boxes have names where there is room, in parts of ten thousand of the map.
  const NAMED = [600, 450];

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const place = (made, [x, y, width, height]) => {
    made.style.left = `${x / 100}%`;
    made.style.top = `${y / 100}%`;
    made.style.width = `${width / 100}%`;
    made.style.height = `${height / 100}%`;
  };

  const path = (node) => {
    const names = [];
    for (let up = node; up !== 0; up = data.parent[up]) names.unshift(data.name[up]);
    return `/${names.join("/")}`;
  };

  const isDirectory = (node) => data.children[node].length > 0;

  const said = (node) => `${path(node)}, ${data.size[node]}, ${data.part[node]} of what it is in`;

  const box = (node) => {
    const made = element("div", `box c${data.color[node]}${data.rest[node] ? " rest" : ""}`);
    made.setAttribute("role", "treeitem");
    made.setAttribute("aria-label", said(node));
    if (isDirectory(node)) made.setAttribute("aria-expanded", "false");
    made.tabIndex = -1;
    made.dataset.node = node;
    place(made, data.box[node]);
    made.append(element("span", "label", `${data.name[node]} ${data.size[node]}`));
    const [, , width, height] = data.box[node];
    if (isDirectory(node) && (width * height) / 1e8 >= LEAST) {
      const inner = element("div", "inner");
      inner.setAttribute("aria-hidden", "true");
      for (const child of data.children[node]) {
        const [, , across, down] = data.inner[child];
        const isNamed = across * width >= NAMED[0] * 10000 && down * height >= NAMED[1] * 10000;
        const small = element("div", "", isNamed ? data.name[child] : undefined);
        place(small, data.inner[child]);
        inner.append(small);
      }
      made.append(inner);
    }
    return made;
  };

  const row = (node) => {
    const made = element("tr");
    const name = element("td", "path");
    if (isDirectory(node)) {
      const enter = element("button", "", data.name[node]);
      enter.type = "button";
      enter.dataset.node = node;
      name.append(enter);
    } else {
      name.textContent = data.name[node];
    }
    made.append(name, element("td", "n", data.size[node]), element("td", "n", data.part[node]));
    return made;
  };

  const boxes = () => [...map.querySelectorAll(".box")];

  const focus = (made) => {
    if (!made) return;
    for (const other of boxes()) other.tabIndex = other === made ? 0 : -1;
    made.focus();
  };

  const show = (node, focused) => {
    at = node;
    map.replaceChildren(...data.children[node].map(box));
    rows.replaceChildren(...data.children[node].map(row));
    map.setAttribute("aria-label", `Treemap of ${path(node)}`);
    const steps = [];
    for (let up = node; ; up = data.parent[up]) {
      const step = element("li");
      const name = up === 0 ? data.name[0] : data.name[up];
      if (up === node) {
        step.textContent = name;
        step.setAttribute("aria-current", "location");
      } else {
        const back = element("button", "", name);
        back.type = "button";
        back.dataset.node = up;
        step.append(back);
      }
      steps.unshift(step);
      if (up === 0) break;
    }
    trail.replaceChildren(...steps);
    news.textContent = `${path(node)}: ${data.size[node]}, ${data.children[node].length} boxes`;
    const first = boxes().find((made) => Number(made.dataset.node) === focused) ?? boxes()[0];
    if (first) first.tabIndex = 0;
    return first;
  };

  const enter = (node) => {
    if (isDirectory(node)) focus(show(node));
  };

  const leave = () => {
    if (at !== 0) focus(show(data.parent[at], at));
  };

  // The nearest box whose edge is beyond that of the current one, in the direction of the key.
  const neighbour = (from, key) => {
    const a = from.getBoundingClientRect();
    let best;
    let least = Infinity;
    for (const other of boxes()) {
      if (other === from) continue;
      const b = other.getBoundingClientRect();
      const beyond = {
        ArrowRight: b.left - a.right,
        ArrowLeft: a.left - b.right,
        ArrowDown: b.top - a.bottom,
        ArrowUp: a.top - b.bottom,
      }[key];
      if (beyond < -2) continue;
      const isAcross = key === "ArrowRight" || key === "ArrowLeft";
      const aside = isAcross
        ? Math.max(0, b.top - a.bottom, a.top - b.bottom) + Math.abs(b.top - a.top) / 1000
        : Math.max(0, b.left - a.right, a.left - b.right) + Math.abs(b.left - a.left) / 1000;
      const distance = Math.max(0, beyond) + 3 * aside;
      if (distance < least) [best, least] = [other, distance];
    }
    return best;
  };

  map.addEventListener("keydown", (event) => {
    const made = event.target.closest(".box");
    if (!made || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = boxes();
    const node = Number(made.dataset.node);
    if (event.key.startsWith("Arrow")) focus(neighbour(made, event.key));
    else if (event.key === "Home") focus(all[0]);
    else if (event.key === "End") focus(all[all.length - 1]);
    else if (event.key === "Enter" || event.key === " ") enter(node);
    else if (event.key === "Escape" || event.key === "Backspace") leave();
    else return;
    event.preventDefault();
  });

  const tell = (event) => {
    const made = event.target.closest(".box");
    if (made) here.textContent = said(Number(made.dataset.node));
  };
  map.addEventListener("mouseover", tell);
  map.addEventListener("focusin", tell);
  map.addEventListener("click", (event) => {
    const made = event.target.closest(".box");
    if (made) enter(Number(made.dataset.node));
  });
  const go = (event) => {
    const button = event.target.closest("button");
    if (button) focus(show(Number(button.dataset.node)));
  };
  trail.addEventListener("click", go);
  rows.addEventListener("click", go);
})();
