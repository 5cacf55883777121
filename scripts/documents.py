#!/usr/bin/env python3
"""Checks the form of the documents, and that what they name exists.

    scripts/documents.py [--fix] [DOCUMENT...]     default: every .md file of the repository

    --fix   wraps paragraphs that have a line of more than 120 characters

Checked: lines are at most 120 characters long; README.md has at most 90 lines; links lead to files and headings; each
`folder/file` and each test that a document names exists; no document names a place outside the repository.

Exempt from the length, because a line break changes what they are: rows of tables, and the output that
docs/screens.md and docs/reliability.md show word for word. --fix changes white space alone: it moves no word, touches no
table, heading or code, and breaks no `code` and no [link](target).
"""
import argparse
import functools
import glob
import os
import re
import sys

import tree

ROOT = tree.ROOT
WIDTH = 120
README_LINES = 90
SOURCES = (".hpp", ".cpp", ".h", ".c", ".cu", ".cuh", ".py", ".cmake", ".txt")
OUTSIDE_ALLOWED = ("cmake/PeaknetOptions.cmake", "scripts/documents.py", "tests/unit/scripts/documents_test.py")
VERBATIM = ("docs/screens.md", "docs/reliability.md")
FENCE = re.compile(r"^\s*(```|~~~)")
ITEM = re.compile(r"^(\s*)([-*+]|\d+[.)])\s+")
# What cannot begin a line without becoming something else: a list item, a heading, a quotation, a table, a rule.
BEGINS_A_BLOCK = re.compile(r"^([-*+]|\d+[.)]|#{1,6}|>.*|\|.*|=+|-+|~~~.*|```.*|<.*)$")
# A line of its own, never part of a paragraph: heading, table, quotation, HTML, rule, definition of a link.
STANDS_ALONE = re.compile(r"^\s*(#{1,6}\s|\||>|<|(---+|===+|\*\*\*+)\s*$|\[[^\]]+\]:\s)")

TEST = re.compile(r"^\s*(?:TYPED_TEST|TYPED_TEST_P|TEST|TEST_F|TEST_P)\(\s*(\w+),\s*(\w+)\)", re.M)
TEST_TARGET = re.compile(r"(?:\bNAME\s+|peaknet_also_on_gpusim\()(\w+)")


# --- wrapping -----------------------------------------------------------------------------------------------------------
def pieces(text):
    """The words of a paragraph; what stands between backticks or is a link is one word."""
    return re.findall(r"(?:`+[^`]*`+|!?\[[^\]]*\]\([^)]*\)|[^\s`\[!]|[\[!`])+", text)


def wrap(first, rest, text, width):
    lines, lead, words = [], first, []
    for word in pieces(text):
        if words and len(lead) + len(" ".join(words + [word])) > width:
            carried = [word]
            while len(words) > 1 and BEGINS_A_BLOCK.match(carried[0]):
                carried.insert(0, words.pop())
            lines.append(lead + " ".join(words))
            lead, words = rest, carried
        else:
            words.append(word)
    return lines + [lead + " ".join(words)]


def wrap_paragraph(lines, width):
    """One paragraph or list item; as it is where no line is too long or a line ends in a hard break."""
    if all(len(line) <= width for line in lines) or any(line.endswith(("  ", "\\")) for line in lines):
        return lines
    item = ITEM.match(lines[0])
    lead = item.group(0) if item else re.match(r"\s*", lines[0]).group(0)
    text = " ".join([lines[0][len(lead):]] + [line.strip() for line in lines[1:]])
    return wrap(lead, " " * len(lead), text, width)


def reflow(text, width=WIDTH):
    out, paragraph, fenced = [], [], False

    def flush():
        out.extend(wrap_paragraph(paragraph, width))
        paragraph.clear()

    for line in text.split("\n"):
        if FENCE.match(line):
            flush()
            fenced = not fenced
            out.append(line)
        elif fenced or not line.strip() or STANDS_ALONE.match(line) or (not paragraph and re.match(r"^ {4}", line)):
            flush()
            out.append(line)
        else:
            if ITEM.match(line):
                flush()
            paragraph.append(line)
    flush()
    result = "\n".join(out)
    assert result.split() == text.split()
    return result


# --- what documents name ------------------------------------------------------------------------------------------------
def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


@functools.cache
def tracked():
    return tree.files()


@functools.cache
def test_names():
    """Names of test programs and files, and Suite.test of every test in C++."""
    files, tests, suites = set(), set(), set()
    for name in tracked():
        if name.startswith(("tests/", "bench/")):
            files.add(os.path.basename(name))
            files.add(os.path.basename(name).split(".")[0])
            if name.endswith((".cpp", ".hpp")):
                for suite, test in TEST.findall(read(name)):
                    suites.add(suite)
                    tests.add(f"{suite}.{test}")
            elif name.endswith("CMakeLists.txt"):
                files.update(TEST_TARGET.findall(read(name)))
    return files, tests, suites


def heading_anchor(line):
    return re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")


def link_faults(document, prose):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(document), path)) if path else document
        if not os.path.exists(os.path.join(ROOT, full)):
            yield f"the link to {target} leads nowhere"
        elif anchor and full.endswith(".md"):
            if anchor not in {heading_anchor(line) for line in read(full).splitlines() if line.startswith("#")}:
                yield f"{full} has no heading #{anchor}"


def path_faults(document, prose):
    folders = {name.split("/")[0] for name in tracked() if "/" in name}
    beside = os.path.dirname(document)
    for path in re.findall(r"(?<![\w/.-])([A-Za-z_.][\w.-]*/[\w./*-]*\w)", prose):
        top = path.split("/")[0]
        if top not in folders or path.startswith("build/") or "NAME" in path:
            continue
        near = [path, path + ".*", path + "*", os.path.join(beside, path), os.path.join("docs", path)]
        if not any(glob.glob(os.path.join(ROOT, pattern)) for pattern in near):
            yield f"there is no {path}"


def source_faults(document, text):
    """Sources named in blocks of code and output, too."""
    for path in sorted(set(re.findall(r"(?<![\w/.-])([a-z_]+/[\w./-]*\.(?:cpp|hpp|cu|cuh|py|h|c))\b(?![\w/])", text))):
        if path.split("/")[0] in {name.split("/")[0] for name in tracked() if "/" in name}:
            if "NAME" not in path and not os.path.exists(os.path.join(ROOT, path)):
                yield f"there is no {path}"


def is_test_file(word, files):
    """Programs may have the folder before the name of their file: shm_pool_test."""
    stem = word.split(".")[0]
    return word in files or any(stem == name or stem.endswith("_" + name) for name in files if name.endswith("_test"))


def test_faults(prose):
    files, tests, suites = test_names()
    for word in re.findall(r"`([A-Za-z_]\w*_test(?:\.\w+)?)[`:]", prose):
        if not is_test_file(word, files):
            yield f"there is no test {word}"
    for suite, test in re.findall(r"`([A-Z]\w+)\.([a-z]\w*)`", prose):
        if suite in suites or suite.endswith("Test"):
            if f"{suite}.{test}" not in tests:
                yield f"there is no test {suite}.{test}"


def outside_faults(prose):
    for path in re.findall(r"\.\./shared[\w/.-]*|\bfacts/[\w.-]+", prose):
        yield f"{path} is not in the repository"


def length_faults(document, text):
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif len(line) > WIDTH and not line.lstrip().startswith("|") and not (fenced and document in VERBATIM):
            yield f"line {number} has {len(line)} characters, {WIDTH} may be: scripts/documents.py --fix wraps prose"
    lines = text.count("\n")
    if document == "README.md" and lines > README_LINES:
        yield f"it has {lines} lines, {README_LINES} may be"


def faults(document):
    text = read(document)
    prose = re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.S | re.M)
    yield from length_faults(document, text)
    yield from link_faults(document, prose)
    if document == "CHANGELOG.md":  # it tells of what has gone, too
        return
    yield from path_faults(document, prose)
    yield from source_faults(document, text)
    yield from test_faults(prose)
    yield from outside_faults(text)


def outside_code_faults():
    """Sources must be understood by who has the repository alone; one option names a folder beside it."""
    for name in tracked():
        if name.endswith(SOURCES) and name not in OUTSIDE_ALLOWED:
            for fault in outside_faults(read(name)):
                yield f"{name}: {fault}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true")
    parser.add_argument("documents", nargs="*", metavar="DOCUMENT")
    given = parser.parse_args()
    documents = [os.path.relpath(os.path.abspath(name), ROOT) for name in given.documents]
    documents = documents or sorted(name for name in tracked() if name.endswith(".md"))
    if given.fix:
        for document in documents:
            text = read(document)
            wrapped = reflow(text)
            if wrapped != text:
                with open(os.path.join(ROOT, document), "w", encoding="utf-8") as file:
                    file.write(wrapped)
    found = [f"{document}: {fault}" for document in documents for fault in faults(document)]
    if not given.documents:
        found += outside_code_faults()
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
