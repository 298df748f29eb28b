#!/bin/sh
# docs.sh: makes the documentation and checks the page: each declaration has its place, links lead somewhere, nothing is
# loaded from elsewhere; what the files under .github name exists.
check=example-docs
. tests/tools/lib.sh
have python3 || finish
try "make docs" ${MAKE:-make} docs
page=build/docs/index.html
cat >"$out/check.py" <<'PYTHON'
import html.parser, re, sys
text = open(sys.argv[1], encoding="utf-8").read()
header = open("safetensors.h", encoding="utf-8").read()
header = header[: header.index("#endif /* ST_INCLUDED")]
faults = []

class Page(html.parser.HTMLParser):
    void = {"meta", "input", "br"}
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.words = [], [], [], []
    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes: self.ids.append(attributes["id"])
        if "href" in attributes: self.links.append(attributes["href"])
        if "src" in attributes or tag in ("link", "img", "iframe"): faults.append(f"loads something: {tag} {attributes}")
        if tag not in ("a", "b", "code"): self.words.append(" ")
        if tag not in self.void: self.open.append(tag)
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag: faults.append(f"</{tag}> at {self.getpos()}")
    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"): self.words.append(data)

page = Page()
page.feed(text)
if page.open: faults.append(f"not closed: {page.open}")
if len(page.ids) != len(set(page.ids)): faults.append("an id is there twice")
faults += [f"dead link {link}" for link in set(page.links) if not link.startswith("#") or link[1:] not in page.ids]
if "url(" in text or "@import" in text or "fetch(" in text: faults.append("external asset")
calls = set(re.findall(r"^ST_API [^;]*?\b(st_\w+)\(", header, re.M))
types = set(re.findall(r"^} (st_\w+);|^typedef [^{;]*?\b(st_\w+)\)?(?:\(.*\))?;", header, re.M))
types = {a or b for a, b in types}
if len(calls) < 40 or len(types) < 20: faults.append(f"only {len(calls)} calls and {len(types)} types were found")
faults += [f"no section {name}" for name in sorted((calls | types) - set(page.ids))]
# every word of the manual and of the comments of calls is on the page
def words(s): return re.findall(r"[A-Za-z0-9_]+", s)
shown = " ".join(words("".join(page.words).lower()))
start = header.index(" * 1 QUICK START")
manual = header[start : header.index("* ----", start)]
room = header[header.index("/* ---- 4 calls") :]
comments = re.findall(r"^/\* ((?:(?!\*/).|\n)*)\*/\nST_API", room, re.M)
for line in (manual + "\n" + "\n".join(comments)).split("\n"):
    line = re.sub(r"^ \*\s+(\d+ (?=[A-Z]{2})|14 )?", "", line)
    sought = " ".join(words(line.lower()))
    if sought and sought not in shown and not line.startswith("12 "): faults.append(f"not on the page: {line}")
questions = re.findall(r"^## (.*)", open(".github/FAQ.md", encoding="utf-8").read(), re.M)
if len(questions) < 20: faults.append("questions are missing")
faults += [f"no question {q}" for q in questions if " ".join(words(q.lower())) not in shown]
if "prefers-color-scheme: dark" not in text: faults.append("no dark colours")
# the rest of .github: paths, targets and commands exist
import os, subprocess
targets = set(re.findall(r"^([a-z][a-z0-9 -]*):", open("Makefile").read(), re.M))
targets = {t for line in targets for t in line.split()}
for name in ("FAQ", "CONTRIBUTING", "SECURITY"):
    source = open(f".github/{name}.md", encoding="utf-8").read()
    for code in re.findall(r"`([^`\n]+)`", source):
        if code.startswith("make ") and code.split()[1] not in targets: faults.append(f"{name}: no target {code}")
        if re.match(r"(examples|tests|fuzz)/[\w./-]+$", code) and not os.path.exists(code): faults.append(f"{name}: no {code}")
        if re.match(r"(st_|ST_)\w+$", code) and not re.search(rf"\b{code}\b", header): faults.append(f"{name}: no {code}")
        if re.match(r"st [a-z]", code):
            help_text = subprocess.run(["build/st", code.split()[1], "--help"], capture_output=True, text=True)
            if help_text.returncode: faults.append(f"{name}: no command {code}")
            faults += [f"{name}: {code}: no option {o}" for o in re.findall(r"--[a-z-]+", code) if o not in help_text.stdout]
print("\n".join(faults[:25]))
sys.exit(bool(faults))
PYTHON
try "the page" env PYTHONDONTWRITEBYTECODE=1 python3 "$out/check.py" $page
# a call without a comment, and a question about a call that does not exist, are refused
rm -rf "$out/copy" && mkdir -p "$out/copy" && cp -R safetensors.h .github tests/tools/docs.py "$out/copy"
broken() { # FILE EXPRESSION
    cp "$out/copy/$1" "$out/kept"
    sed -i "$2" "$out/copy/$1"
    if (cd "$out/copy" && python3 docs.py page.html) >"$out/said" 2>&1; then fail "docs.py accepts $2 in $1"; else pass; fi
    cp "$out/kept" "$out/copy/$1"
}
broken .github/FAQ.md 's/`st_load`/`st_load_all`/'
broken safetensors.h '/^\/\* Closes a model and frees everything/d'
try "docs.py in a copy" sh -c "cd '$out/copy' && python3 docs.py page.html && cmp page.html ../../../$page"
finish
