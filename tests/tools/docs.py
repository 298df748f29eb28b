#!/usr/bin/env python3
"""docs.py OUTPUT: writes the documentation as one HTML page: the manual, the calls by topic and the types, all from the
comments of safetensors.h, and .github/FAQ.md. The page needs no other file. Fails if a call has no comment, or if the FAQ
names something that the header does not declare."""
import html
import re
import sys
import textwrap

HEADER = open("safetensors.h", encoding="utf-8").read()
VERSION = re.search(r'#define ST_VERSION_STRING "(.*)"', HEADER).group(1)
INTERFACE = HEADER[: HEADER.index("#endif /* ST_INCLUDED")]
LABEL = re.compile(r"(Errors|Memory|Memory, freed on return|Cost|Threads|Files|Sources|Returns|Allocates nothing)(: |\. |$)")
anchors = {}  # identifier: id of what explains it
used = set()


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def rich(text):
    """Escapes a text and links the identifiers in it."""

    def link(match):
        word = match.group(0)
        target = anchors.get(word)
        return f'<a href="#{target}">{word}</a>' if target else word

    return re.sub(r"\bst_[a-z0-9_]+|\bST_[A-Z0-9_]+", link, html.escape(text, quote=False))


def room(number):
    """The text of a room of the header, without its banner."""
    start = re.search(rf"^/\* ---- {number} ", INTERFACE, re.M).start()
    start = INTERFACE.index("-- */\n", start) + 6
    end = re.search(rf"^/\* ---- {number + 1} ", HEADER, re.M).start()
    return HEADER[start : min(end, len(INTERFACE))]


def blocks(lines):
    """Splits at empty lines."""
    block = []
    for line in lines + [""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def manual():
    start = INTERFACE.index(" * 1 QUICK START")
    lines = [line[2:].lstrip(" ") if re.match(r" \* \d+ [A-Z]", line) else line[2:] for line in
             INTERFACE[start : INTERFACE.index("* ----", start)].split("\n")]
    lines = [line[1:] if line.startswith(" ") else line for line in lines]
    sections, title, body = [], None, []
    for line in lines:
        if re.match(r"\d+ [A-Z]{2}|14 C\+\+|\d+ [A-Z, +]{3,}(:|$)", line):
            if title:
                sections.append((title, body))
            title, body = line, []
        else:
            body.append(line[2:] if line.startswith("  ") else line)
    sections.append((title, body))
    for title, body in sections:
        number, name = title.split(" ", 1)
        note = ""
        if ":" in name:
            name, note = name.split(":", 1)
        name = name if name == "C++" else ", ".join(part.capitalize() for part in name.split(", "))
        name = name.replace("Webassembly", "WebAssembly").replace(" i ", " I ")
        parts = [f"<p>{rich(note.strip())}</p>"] if note else []
        for block in blocks(body):
            parts += manual_block(block)
        yield number, name, "\n".join(parts)


def manual_block(block):
    text, code, parts = [], [], []

    def flush():
        if text:
            words = " ".join(text)
            parts.append(f"<ul><li>{rich(words[2:])}</li></ul>" if words.startswith("- ") else f"<p>{rich(words)}</p>")
        if code:
            parts.append(f"<pre>{rich(textwrap.dedent(chr(10).join(code)))}</pre>")
        text.clear(), code.clear()

    rows = [bool(re.search(r"\S {2,}\S", line)) for line in block]
    is_whole_table = 2 * sum(rows) > len(rows)
    for line, is_row in zip(block, rows):
        in_item = bool(text) and bool(re.match(r"- |\d\. ", text[0]))
        if in_item and not line.startswith(" ") and not re.match(r"- |\d\. ", line):
            flush()
            in_item = False
        if in_item and line.startswith(" ") and not re.match(r"- |\d\. ", line.strip()):
            text.append(line.strip())
        elif is_whole_table or is_row or line.startswith("    ") or any(rows) and line.startswith(" "):
            if text:
                flush()
            code.append(line)
        elif re.match(r"- |\d\. ", line.strip()):
            flush()
            text.append(line.strip())
        else:
            if code:
                flush()
            text.append(line.strip())
    flush()
    return parts


def comment_lines(comment):
    return [re.sub(r"^ \* ?", "", line) for line in comment.strip()[3:-2].rstrip().split("\n")]


def describe(lines):
    """A comment of a call: paragraphs, and lists of parameters and errors."""
    parts, text, items = [], [], []

    def flush():
        if text:
            paragraph = rich(" ".join(text))
            parts.append("<p>" + re.sub(r"^(Errors|Memory[^:.]*|Cost|Threads|Files|Sources):", r"<b>\1:</b>", paragraph) + "</p>")
        if items:
            rows = "".join(f"<dt>{rich(term)}</dt><dd>{rich(' '.join(words))}</dd>" for term, words in items)
            parts.append(f"<dl>{rows}</dl>")
        text.clear(), items.clear()

    for line in lines:
        indent = len(line) - len(line.lstrip())
        label = re.match(r"Errors: +(ST_\S+(?:, ST_\S+)*)  +(.*)", line)
        entry = re.match(r"\s+(\S+(?:,? \S+)*?)  +(\S.*)", line)
        if label:
            flush()
            parts.append("<p><b>Errors:</b></p>")
            items.append((label.group(1), [label.group(2)]))
        elif indent and entry and indent < 12:
            if text:
                flush()
            items.append((entry.group(1), [entry.group(2)]))
        elif indent >= 12 and items:
            items[-1][1].append(line.strip())
        elif indent and re.match(r"(and|as) ", line.strip()):
            if items:
                flush()
            text.append(line.strip())
        elif indent and items:
            items[-1][1].append(line.strip())
        else:
            if items or LABEL.match(line):
                flush()
            text.append(line.strip())
    flush()
    return "\n".join(parts)


def calls():
    text = room(4)
    missing = [m.group(0) for m in re.finditer(r"(?<!\*/\n)^ST_API [^;]*;", text, re.M)]
    if missing:
        sys.exit("docs: no comment above " + missing[0])
    for topic in re.split(r"^/\* -- ", text, flags=re.M)[1:]:
        name, rest = topic.split(" -- */", 1)
        found = []
        for match in re.finditer(r"^(/\* (?:(?!\*/).|\n)*\*/)\n(ST_API (?:[^;]|\n)*;)", rest, re.M):
            signature = re.sub(r"\n +", " ", match.group(2)[7:])
            found.append((re.search(r"(st_\w+)\(", signature).group(1), signature, comment_lines(match.group(1))))
        yield name, found


def types():
    """Each typedef, each macro group, with the comment before it."""
    text = re.sub(r"^#(if|ifdef|ifndef|else|endif)\b.*\n|^/\* clang-format o.*\n", "", room(3), flags=re.M)
    for block in re.split(r"\n\n+", text.strip()):
        if re.fullmatch(r"/\*(?:(?!\*/).|\n)*\*/", block.strip()):
            continue
        depth_ok = block.count("{") == block.count("}")
        names = re.findall(r"^#define (ST_\w+)", block, re.M) + re.findall(r"^}? ?(?:typedef struct \w+ )?(st_\w+);", block, re.M)
        names += re.findall(r"^typedef int \(\*(st_\w+)\)", block, re.M) + re.findall(r"} (st_\w+);", block)
        if names and depth_ok:
            yield names[-1] if names[-1].startswith("st_") else names[0], list(dict.fromkeys(names)), block


def faq():
    """Headings, paragraphs, lists and indented code of Markdown."""
    text = open(".github/FAQ.md", encoding="utf-8").read()

    def inline(words):
        pieces = re.split(r"`([^`]*)`", words)
        return "".join(f"<code>{rich(piece)}</code>" if i % 2 else rich(piece) for i, piece in enumerate(pieces))

    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        title, body = part.split("\n", 1)
        out = []
        for block in blocks(body.split("\n")):
            if block[0].startswith("    "):
                out.append("<pre>" + rich("\n".join(line[4:] for line in block)) + "</pre>")
            elif block[0].startswith("- "):
                items = "\n".join(block).split("\n- ")
                out.append("<ul>" + "".join(f"<li>{inline(' '.join(i.lstrip('- ').split()))}</li>" for i in items) + "</ul>")
            else:
                out.append(f"<p>{inline(' '.join(block))}</p>")
        yield title.strip(), "\n".join(out)


STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f3f4f6; --line: #d5d9de; --link: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6e9; --paper: #16181b; --soft: #22262b; --line: #3a4048; --link: #8ab4f8; }
}
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.55 system-ui, sans-serif; display: flex; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
nav { width: 19rem; flex: none; height: 100vh; overflow: auto; position: sticky; top: 0; padding: 1rem;
      border-right: 1px solid var(--line); font-size: .9rem; }
nav ul { list-style: none; margin: .2rem 0 .8rem; padding: 0; }
nav b { display: block; }
main { min-width: 0; max-width: 56rem; padding: 1rem 2rem 6rem; }
input { width: 100%; padding: .5rem; font: inherit; color: inherit; background: var(--soft); border: 1px solid var(--line);
        border-radius: 6px; }
pre, code { font: 14px/1.5 ui-monospace, Menlo, Consolas, monospace; background: var(--soft); border-radius: 6px; }
pre { padding: .7rem .9rem; overflow: auto; }
code { padding: .1em .3em; }
h1 { line-height: 1.2; } h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; }
section { scroll-margin-top: 1rem; }
section:target > h3 { background: var(--soft); }
h3 a { color: inherit; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .25rem 1rem; margin: .5rem 0 1rem 1rem; }
dt { font: 14px/1.6 ui-monospace, Menlo, Consolas, monospace; max-width: 16rem; } dd { margin: 0; }
[hidden] { display: none !important; }
@media (max-width: 50rem) {
  body { display: block; }
  nav { width: auto; height: auto; position: static; border: 0; border-bottom: 1px solid var(--line); }
  nav ul { columns: 2; }
  main { padding: 1rem; }
  dl { display: block; margin-left: 0; } dd { margin: 0 0 .5rem 1rem; }
}
@media print { nav { display: none; } }
"""
SCRIPT = """
const field = document.getElementById('search'), count = document.getElementById('count');
const entries = [...document.querySelectorAll('main section')].map(e => [e, e.textContent.toLowerCase(),
    document.querySelector('nav a[href="#' + e.id + '"]')]);
function search() {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let found = 0;
  for (const [element, text, link] of entries) {
    const shown = words.every(w => text.includes(w));
    element.hidden = !shown;
    if (link) link.parentNode.hidden = !shown;
    found += shown;
  }
  for (const h of document.querySelectorAll('main h2')) {
    let e = h.nextElementSibling, any = false;
    for (; e && e.tagName !== 'H2'; e = e.nextElementSibling) any = any || (e.tagName === 'SECTION' && !e.hidden);
    h.hidden = !any;
  }
  count.textContent = words.length ? found + ' of ' + entries.length + ' sections' : '';
}
field.addEventListener('input', search);
addEventListener('keydown', e => {
  if (e.key === '/' && document.activeElement !== field) { e.preventDefault(); field.focus(); field.select(); }
  if (e.key === 'Escape' && field.value) { field.value = ''; search(); }
});
addEventListener('hashchange', () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.closest('[hidden]')) { field.value = ''; search(); target.scrollIntoView(); }
});
"""


def main():
    all_calls, all_types = list(calls()), list(types())
    for _, found in all_calls:
        for name, _, _ in found:
            anchors[name] = name
    for key, names, block in all_types:
        for name in names + re.findall(r"^    (ST_[A-Z0-9_]+)", block, re.M):
            anchors.setdefault(name, key)
    for name in re.findall(r"^#define (ST_VERSION\w*)", INTERFACE, re.M):
        anchors.setdefault(name, "st_version")
    for name in re.findall(r"^ \*   (ST_[A-Z_]+)(?:, (ST_\w+))?", INTERFACE[INTERFACE.index("* 12 CONF") :], re.M):
        for n in filter(None, name):
            anchors.setdefault(n, "configuration")

    page, menu = [], []

    def section(identifier, title, body, level_class=""):
        if identifier in used:
            sys.exit(f"docs: the anchor {identifier} is there twice")
        used.add(identifier)
        page.append(f'<section id="{identifier}"{level_class}><h3><a href="#{identifier}">{html.escape(title)}</a></h3>\n{body}\n</section>')
        menu.append(f'<li><a href="#{identifier}">{html.escape(title)}</a></li>')

    def chapter(title):
        page.append(f"<h2>{html.escape(title)}</h2>")
        menu.append(f"{'</ul>' if menu else ''}<b>{html.escape(title)}</b><ul>")

    chapter("Manual")
    for number, name, body in manual():
        section(slug(name) if name != "C++" else "cpp", name, body)
    for topic, found in all_calls:
        chapter("Calls: " + topic)
        for name, signature, lines in found:
            linked = rich(signature).replace(f'<a href="#{name}">{name}</a>', f"<b>{name}</b>", 1)
            section(name, name, f"<pre>{linked}</pre>\n{describe(lines)}")
    chapter("Types")
    for key, names, block in all_types:
        section(key, names[-1] if names[-1].startswith("st_") else names[0], f"<pre>{rich(block)}</pre>")
    chapter("Questions")
    questions = list(faq())
    for title, body in questions:
        section(slug(title), title, body)
    menu.append("</ul>")

    known = set(re.findall(r"\b(?:st|ST)_\w+", HEADER[: HEADER.index("---- 5 configuration")]))
    unknown = set(re.findall(r"\b(?:st_[a-z]\w+|ST_[A-Z]\w+)", open(".github/FAQ.md", encoding="utf-8").read())) - known
    if unknown:
        sys.exit(f"docs: the FAQ names {sorted(unknown)}, which the header does not declare")
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write(f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>safetensors.h {VERSION}</title>
<style>{STYLE}</style>
</head>
<body>
<nav aria-label="contents">
<input id="search" type="search" placeholder="Search (/)" aria-label="search the documentation" autocomplete="off">
<p id="count" role="status"></p>
{chr(10).join(menu)}
</nav>
<main>
<h1>safetensors.h {VERSION}</h1>
<p>Reads, validates, converts and writes tensor files in the safetensors format. One header, no dependency.</p>
{chr(10).join(page)}
</main>
<script>{SCRIPT}</script>
</body>
</html>
""")


main()
