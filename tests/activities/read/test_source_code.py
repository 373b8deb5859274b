"""Source code of every language that has a grammar is cut where definitions begin."""

import re
from collections.abc import Sequence
from textwrap import dedent, indent

import pytest

from activities.inspect.programming_languages import LANGUAGES
from activities.read.source_code import PASSAGE_CHARACTERS, code_document

BY_LABEL = {language.label: language for language in LANGUAGES}
COUNT = 7


def passages(text: str, label: str) -> list[str]:
    found = [item.text for item in code_document(text, BY_LABEL[label]).texts]
    assert all(len(passage) <= PASSAGE_CHARACTERS for passage in found)
    assert "".join("".join(found).split()) == "".join(text.split()), "nothing is lost"
    return found


def source(opening: str, member: str, closing: str = "") -> str:
    """A file of definitions whose bodies have empty lines in them, as one writes; in what is given,
    NAME stands for the name and BODY for the lines."""
    body = "\n\n".join(f"total = total + {number} * weight;" for number in range(12))
    margin = re.search(r"^([ \t]*)BODY", member, re.MULTILINE)
    assert margin is not None
    lines = indent(body, margin.group(1)).lstrip()
    members = [
        member.replace("NAME", f"open_door_{number}").replace("BODY", lines)
        for number in range(COUNT)
    ]
    return opening + "\n\n".join(members) + "\n" + closing


JAVA = dedent("""
    /** Opens the door. */
    @Override
    public int NAME(int total, int weight) {
        BODY
        return total;
    }""")
CASES: dict[str, tuple[str, str, Sequence[str]]] = {
    "java": (
        "java",
        source(
            "package tower;\n\nimport java.util.List;\n\npublic class Keys {\n",
            indent(JAVA, "    "),
            "}\n",
        ),
        ("/** Opens the door. */",),
    ),
    "class in C++": (
        "cpp",
        source(
            "#pragma once\n#include <map>\n\nnamespace tower {\ntemplate <class Key>\n"
            "class Keys : public Base<Key> {\npublic:\n",
            "    // Opens the door.\n    int NAME(int total, int weight) const noexcept {\n"
            "        BODY\n        return total;\n    }",
            "};\n}\n",
        ),
        ("// Opens the door.", "public:"),
    ),
    "functions in C++": (
        "cpp",
        source(
            "#include <map>\n\nnamespace tower {\n",
            "template <typename Key>\nint Keys<Key>::NAME(int total, int weight) && {\n"
            "    BODY\n    return total;\n}",
            "}\n",
        ),
        ("template <typename Key>",),
    ),
    "header in C++": (
        "c",
        source(
            "#ifndef KEYS_H\n#define KEYS_H\nclass Keys {\npublic:\n",
            "    virtual int NAME(int total, int weight) override {\n        BODY\n    }",
            "};\n#endif\n",
        ),
        ("virtual int", "public:"),
    ),
    "C": (
        "c",
        source(
            "#include <stdio.h>\n\n",
            "/* Opens the door. */\nstatic int\nNAME(int total, int weight)\n{\n    BODY\n}",
        ),
        ("/* Opens the door. */",),
    ),
    "Go": (
        "go",
        source(
            'package tower\n\nimport "fmt"\n\n',
            "// Opens the door.\nfunc (keys *Keys) NAME(total int, weight int) int {\n"
            "\tBODY\n\treturn total\n}",
        ),
        ("// Opens the door.",),
    ),
    "Rust": (
        "rust",
        source(
            "use std::collections::HashMap;\n\nimpl Keys {\n",
            "    /// Opens the door.\n    #[inline]\n"
            "    pub fn NAME(&self, mut total: u32, weight: u32) -> u32 {\n        BODY\n"
            "        total\n    }",
            "}\n",
        ),
        ("/// Opens the door.",),
    ),
    "C#": (
        "cs",
        source(
            "using System;\n\nnamespace Tower\n{\n    public class Keys\n    {\n",
            "        /// <summary>Opens the door.</summary>\n        [Pure]\n"
            "        public int NAME(int total, int weight)\n        {\n            BODY\n"
            "            return total;\n        }",
            "    }\n}\n",
        ),
        ("/// <summary>",),
    ),
    "Ruby": (
        "ruby",
        source(
            'require "set"\n\nmodule Tower\n  class Keys\n',
            "    # Opens the door.\n    def NAME(total, weight)\n      BODY\n      total\n    end",
            "  end\nend\n",
        ),
        ("# Opens the door.",),
    ),
    "PHP": (
        "php",
        source(
            "<?php\n\nnamespace Tower;\n\nfinal class Keys extends Base\n{\n",
            "    /**\n     * Opens the door.\n     */\n"
            "    public function NAME(int $total, int $weight): int\n    {\n        BODY\n    }",
            "}\n",
        )
        .replace("total =", "$total =")
        .replace("total +", "$total +")
        .replace("weight;", "$weight;"),
        ("/**",),
    ),
    "shell": (
        "shell",
        source(
            "#!/bin/bash\nset -eu\n\n",
            "# Opens the door.\nNAME() {\n    BODY\n}",
        )
        .replace(" = ", "=")
        .replace("total + ", "$((total + ")
        .replace("weight;", "weight))"),
        ("# Opens the door.",),
    ),
    "JavaScript": (
        "javascript",
        source(
            "import { Base } from './base';\n\nexport default class Keys extends Base {\n",
            "  /** Opens the door. */\n  async NAME(total, weight) {\n    BODY\n    return total;\n  }",
            "}\n",
        ),
        ("/** Opens the door. */",),
    ),
    "tests in JavaScript": (
        "javascript",
        source(
            "describe('keys', () => {\n",
            "  it('NAME', async () => {\n    BODY\n    expect(total).toBe(1);\n  });",
            "});\n",
        ),
        ("it('",),
    ),
    "TypeScript": (
        "typescript",
        source(
            "import { Base } from './base';\n\n",
            "export const NAME = <T,>(total: number, weight = <number>(1 as any)): number => {\n"
            "  BODY\n  return total;\n};",
        ),
        ("export const",),
    ),
    "TSX": (
        "typescript",
        source(
            "import React from 'react';\n\n",
            "export function NAME({ total, weight }: { total: number; weight: number }) {\n"
            "  BODY\n  return <Door open={total > 1}><Key weight={weight} /></Door>;\n}",
        ),
        ("export function",),
    ),
    "decorated class in Python": (
        "python",
        source(
            "import os\n\n\n@dataclass\nclass Keys(Base):\n",
            "    # Opens the door.\n    @property\n    def NAME(self, total, weight):\n"
            "        BODY\n        return total",
        ),
        ("# Opens the door.",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_passage_is_a_definition_with_what_introduces_it(case: str) -> None:
    label, text, beginnings = CASES[case]
    found = [passage for passage in passages(text, label) if "open_door_" in passage]
    assert len(found) == COUNT
    for number, passage in enumerate(found):
        assert re.findall(r"open_door_\d", passage) == [f"open_door_{number}"]
        assert passage.count("weight;") + passage.count("weight))") == 12
        if number:
            assert passage.lstrip().startswith(beginnings), passage


def test_a_remark_behind_a_statement_stays_with_it() -> None:
    statements = [f"int door_{number} = {'1 + ' * 60}1;  // remark {number}" for number in range(9)]
    found = passages("\n".join(statements), "c")
    assert len(found) > 2
    for passage in found:
        assert passage.startswith("int door_")
        assert re.findall(r"door_(\d)", passage) == re.findall(r"remark (\d)", passage)


@pytest.mark.parametrize("end", ["\r\n", "\r", "\f\n"])
def test_line_ends_of_other_systems_move_no_cut(end: str) -> None:
    _, text, beginnings = CASES["C"]
    for passage in passages(text.replace("\n", end), "c")[1:]:
        assert passage.lstrip().startswith(beginnings)


def test_a_vast_line_moves_no_cut() -> None:
    _, text, beginnings = CASES["Go"]
    table = 'var table = "' + "x" * 50_000 + '"\n'
    document = code_document(text.replace("import", f"{table}import"), BY_LABEL["go"])
    found = [item.text for item in document.texts if "open_door_" in item.text]
    assert all(passage.startswith(beginnings) for passage in found[1:])


def test_other_languages_are_cut_at_empty_lines() -> None:
    functions = [f"fun door{number}() {{\n" + "    println(1)\n" * 40 + "}" for number in range(5)]
    assert passages("\n\n".join(functions), "kotlin") == functions
