"""Opens our pages in a headless Chromium, driven through its DevTools pipe, and checks what people would see.

Usage: check.py CHECK PAGES OUT. PAGES has size.html with size.json, and build.html with build.json.
"""

import base64
import fcntl
import json
import os
import subprocess
import sys

CHROMIUM = "/usr/lib/chromium/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--user-data-dir=/tmp/profile", "--remote-debugging-pipe", "--window-size=1280,900", "about:blank",
]


class Browser:
    """A Chromium that reads commands from descriptor 3 and answers on descriptor 4."""

    def __init__(self):
        command_end, self.commands = (above(end) for end in os.pipe())
        self.answers, answer_end = (above(end) for end in os.pipe())
        os.dup2(command_end, 3, inheritable=True)
        os.dup2(answer_end, 4, inheritable=True)
        log = open("/tmp/chromium.log", "wb")
        self.process = subprocess.Popen([CHROMIUM, *FLAGS], pass_fds=(3, 4), stderr=log, stdout=log)
        for end in (3, 4, command_end, answer_end):
            os.close(end)
        self.buffer = b""
        self.last = 0
        self.events = []

    def read(self):
        while b"\0" not in self.buffer:
            part = os.read(self.answers, 1 << 20)
            if not part:
                sys.stdout.write(open("/tmp/chromium.log", encoding="utf-8", errors="replace").read())
                raise SystemExit("error: Chromium ended")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        while True:
            answer = self.read()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise SystemExit(f"error: {method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, name):
        while True:
            for event in self.events:
                if event.get("method") == name:
                    return
            self.events.append(self.read())

    def close(self):
        self.call("Browser.close")
        self.process.wait()


def above(descriptor):
    """Moves a descriptor out of the way of those that Chromium is given."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 20)
    os.close(descriptor)
    return moved


CONTRAST = r"""
(() => {
  const parse = (text) => {
    const numbers = text.match(/[\d.]+/g);
    return numbers ? numbers.map(Number) : [0, 0, 0, 0];
  };
  const alpha = (color) => (color.length > 3 ? color[3] : 1);
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => {
    if (element instanceof SVGElement) return parse(getComputedStyle(element.previousElementSibling).fill);
    for (let up = element; up; up = up.parentElement) {
      const color = parse(getComputedStyle(up).backgroundColor);
      if (alpha(color) > 0) return color;
    }
    return parse(getComputedStyle(document.documentElement).colorScheme === "dark" ? "0 0 0" : "255 255 255");
  };
  const bad = [];
  let checked = 0;
  for (const element of document.body.querySelectorAll("*")) {
    if (["SCRIPT", "STYLE", "title"].includes(element.tagName)) continue;
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!hasText) continue;
    const style = getComputedStyle(element);
    const color = parse(element instanceof SVGElement ? style.fill : style.color);
    const [one, other] = [luminance(color), luminance(ground(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    checked += 1;
    if (ratio < 4.5) bad.push(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  return { checked, bad };
})()
"""


class Page:
    """A page in a tab of its own."""

    def __init__(self, browser, path, scheme="light"):
        self.browser = browser
        self.url = "file://" + os.path.abspath(path)
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        browser.events.clear()
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.call("Page.navigate", url=self.url)
        browser.wait_for("Page.loadEventFired")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"error: {expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def press(self, key):
        text = {"Enter": "\r"}.get(key)
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
                 "Home": 36, "End": 35}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def problems(self):
        """What went wrong in the page, and what it asked of others."""
        # What was thrown later comes before this answer.
        self.evaluate("new Promise((done) => setTimeout(done, 50))")
        found = []
        for event in self.browser.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.append("console: " + str(parameters["args"]))
            elif method == "Runtime.exceptionThrown":
                found.append("thrown: " + parameters["exceptionDetails"]["text"])
            elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append("log: " + parameters["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if url.split("#")[0] != self.url and not url.startswith("data:"):
                    found.append("request: " + url)
        return found

    def print(self, path):
        data = base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])
        check(data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF") and len(data) > 5000, "a PDF is printed")
        with open(path, "wb") as file:
            file.write(data)


checked = []


def check(holds, what, found=None):
    if not holds:
        raise SystemExit(f"error: not so: {what}" + ("" if found is None else f": {found}"))
    checked.append(what)


def check_common(browser, path):
    for scheme in ("light", "dark"):
        page = Page(browser, path, scheme)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        check(sum(map(int, dark[4:-1].split(","))) < 380 if scheme == "dark" else dark == "rgb(255, 255, 255)",
              f"{path} is {scheme}", dark)
        contrast = page.evaluate(CONTRAST)
        check(contrast["checked"] > 30 and not contrast["bad"], f"{path}: text can be read when {scheme}", contrast)
        check(page.problems() == [], f"{path} is quiet and asks nobody when {scheme}", page.problems())
    ids = page.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.getAttribute('href').slice(1))"
                        ".filter((id) => !document.getElementById(id))")
    check(ids == [], f"{path}: links lead somewhere", ids)
    page.press("Tab")
    check(page.evaluate("document.activeElement.className") == "skip", f"{path}: Tab begins with the skip link")
    headings = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((h) => Number(h.tagName[1]))")
    check(headings[0] == 1 and all(b - a <= 1 for a, b in zip(headings, headings[1:])), f"{path}: headings nest", headings)


BOXES = """[...document.querySelectorAll('#treemap .box')].map((box) => {
  const rect = box.getBoundingClientRect();
  return { node: Number(box.dataset.node), left: rect.left, top: rect.top, width: rect.width, height: rect.height };
})"""


def check_boxes(page, node, sizes):
    """The boxes of a node: one for each child, in proportion, inside the map, and none over another."""
    boxes = page.evaluate(BOXES)
    children = page.evaluate(f"JSON.parse(document.getElementById('data').textContent).children[{node}]")
    check([box["node"] for box in boxes] == children, f"each of {len(children)} children has a box")
    area = page.evaluate("(() => { const r = document.getElementById('treemap').getBoundingClientRect();"
                         " return [r.left, r.top, r.width, r.height]; })()")
    whole = area[2] * area[3]
    total = sum(sizes[child] for child in children)
    for box in boxes:
        share, expected = box["width"] * box["height"] / whole, sizes[box["node"]] / total
        check(abs(share - expected) < 0.01, f"box {box['node']} is in proportion", (share, expected))
        inside = (box["left"] > area[0] - 2 and box["top"] > area[1] - 2
                  and box["left"] + box["width"] < area[0] + area[2] + 2
                  and box["top"] + box["height"] < area[1] + area[3] + 2)
        check(inside, f"box {box['node']} is inside", box)
    for index, a in enumerate(boxes):
        for b in boxes[:index]:
            across = min(a["left"] + a["width"], b["left"] + b["width"]) - max(a["left"], b["left"])
            down = min(a["top"] + a["height"], b["top"] + b["height"]) - max(a["top"], b["top"])
            check(across < 1.5 or down < 1.5, "boxes do not overlap", (a, b))
    rows = page.evaluate("document.querySelectorAll('#rows tr').length")
    check(rows == len(children), "the table has what the treemap has", rows)


def check_size(browser, pages, out):
    path = os.path.join(pages, "size.html")
    check_common(browser, path)
    page = Page(browser, path)
    with open(os.path.join(pages, "size.json"), encoding="utf-8") as file:
        expected = json.load(file)
    sizes = page.evaluate("JSON.parse(document.getElementById('data').textContent).bytes")
    names = page.evaluate("JSON.parse(document.getElementById('data').textContent).name")
    top = {entry["path"].strip("/"): entry["bytes"] for entry in expected["directories"]}
    boxes = page.evaluate(BOXES)
    on_top = {path for path in (file["path"].split("/")[0] for file in expected["files"]) if path}
    check(len(boxes) >= len(on_top), "what is on top has boxes", (len(boxes), on_top))
    for box in boxes:
        name = names[box["node"]]
        if name in top:
            check(sizes[box["node"]] == top[name], f"{name} has its size", sizes[box["node"]])
    check(sizes[0] == expected["used"], "the map is all that is used", sizes[0])
    check_boxes(page, 0, sizes)
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    items = [node for node in tree if node.get("role", {}).get("value") == "treeitem" and not node.get("ignored")]
    check(len(items) == len(boxes) and all(item["name"]["value"] for item in items), "boxes are named items of a tree")

    # By keyboard: into the largest directory, about in it, and out again.
    page.evaluate("document.querySelector('#treemap [tabindex=\"0\"]').focus()")
    first = page.evaluate("Number(document.activeElement.dataset.node)")
    page.press("Enter")
    check_boxes(page, first, sizes)
    trail = page.evaluate("[...document.querySelectorAll('#trail li')].map((li) => li.textContent)")
    check(trail[1:] == [names[first]], "the trail says where one is", trail)
    inside = page.evaluate("Number(document.activeElement.dataset.node)")
    check(inside == page.evaluate(BOXES)[0]["node"], "the first box in it has the focus", inside)
    if len(page.evaluate(BOXES)) > 1:
        moved = []
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
            page.press(key)
            moved.append(page.evaluate("Number(document.activeElement.dataset.node)"))
        check(set(moved) != {inside}, "arrow keys move", moved)
        page.press("End")
        check(page.evaluate("Number(document.activeElement.dataset.node)") == page.evaluate(BOXES)[-1]["node"], "End is last")
        tabs = page.evaluate("document.querySelectorAll('#treemap [tabindex=\"0\"]').length")
        check(tabs == 1, "Tab stops once in the treemap", tabs)
    page.press("Escape")
    check_boxes(page, 0, sizes)
    check(page.evaluate("Number(document.activeElement.dataset.node)") == first, "Escape goes back to where one was")
    # The table leads there, too, and so does the trail.
    page.evaluate("document.querySelector('#rows button').click()")
    check(page.evaluate("document.querySelectorAll('#trail li').length") == 2, "the table goes in")
    page.evaluate("document.querySelector('#trail button').click()")
    check(page.evaluate("document.querySelectorAll('#trail li').length") == 1, "the trail goes out")
    if expected["regions"]:
        regions = page.evaluate("document.querySelectorAll('.map > div').length")
        check(regions == len(expected["regions"]), "every region of the disk is drawn", regions)
    check(page.problems() == [], "using it is quiet", page.problems())
    page.print(os.path.join(out, "size.pdf"))


def check_build(browser, pages, out):
    path = os.path.join(pages, "build.html")
    check_common(browser, path)
    page = Page(browser, path)
    with open(os.path.join(pages, "build.json"), encoding="utf-8") as file:
        build = json.load(file)["build"]
    runs = [(step["label"], run) for step in build["steps"] for run in step["runs"]]
    check(len(runs) > 2, "something ran", len(runs))
    bars = page.evaluate("""(() => {
      const all = document.querySelector('.timeline').getBoundingClientRect();
      return [...document.querySelectorAll('.timeline .bar')].map((bar) => {
        const rect = bar.getBoundingClientRect();
        return [bar.title, (rect.left - all.left) / all.width, rect.width / all.width, bar.className];
      });
    })()""")
    check(sorted(bar[0] for bar in bars) == sorted(label for label, _ in runs), "every run has a bar")
    end = max(build["wall_us"], max(run["end_us"] for _, run in runs))
    for label, run in runs:
        start, width = run["start_us"] / end, (run["end_us"] - run["start_us"]) / end
        near = [bar for bar in bars if bar[0] == label and abs(bar[1] - start) < 0.01 and abs(bar[2] - width) < 0.01]
        check(near, f"the bar of {label} is where it ran", (start, width, [bar for bar in bars if bar[0] == label]))
    check(any("critical" in bar[3] for bar in bars), "the critical path is marked")
    drawn = page.evaluate("document.querySelectorAll('.graph a').length")
    check(drawn > 2, "the graph is drawn", drawn)
    for artifact in build["artifacts"]:
        there = page.evaluate(f"document.body.textContent.includes({json.dumps(artifact['sha256'])})")
        check(there, f"{artifact['path']} has its digest")
    page.print(os.path.join(out, "build.pdf"))


def check_the_checks(browser, check_directory):
    """What must be noticed is: else nothing above means anything."""
    page = Page(browser, os.path.join(check_directory, "bad.html"))
    problems = " ".join(page.problems())
    for word in ("console: ", "thrown: ", "request: http://192.0.2.1/picture.png"):
        check(word in problems, f"`{word}` is noticed", problems)
    check(page.evaluate(CONTRAST)["bad"] != [], "what is hardly to be read is noticed")


def main():
    check_directory, pages, out = sys.argv[1:]
    browser = Browser()
    check_the_checks(browser, check_directory)
    check_size(browser, pages, out)
    check_build(browser, pages, out)
    browser.close()
    with open(os.path.join(out, "checked.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(checked) + "\n")
    print(f"{len(checked)} checks hold")


main()
