"""Languages of source code: how they are called, recognised and cut."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ProgrammingLanguage:
    """`label` is Magika's; `title` is docling's CodeLanguageLabel where it has one."""

    label: str
    title: str
    extensions: tuple[str, ...]

    @property
    def media_type(self) -> str:
        return f"text/x-{self.label}"


def _language(label: str, title: str, *extensions: str) -> ProgrammingLanguage:
    return ProgrammingLanguage(label, title, extensions)


LANGUAGES: tuple[ProgrammingLanguage, ...] = (
    _language("python", "Python", "py", "pyi"),
    _language("c", "C", "c", "h"),
    _language("cpp", "C++", "cc", "cpp", "cxx", "hpp", "hh", "hxx"),
    _language("cs", "C#", "cs"),
    _language("css", "CSS", "css", "scss"),
    _language("dockerfile", "Dockerfile"),
    _language("elixir", "Elixir", "ex", "exs"),
    _language("erlang", "Erlang", "erl", "hrl"),
    _language("go", "Go", "go"),
    _language("haskell", "Haskell", "hs"),
    _language("java", "Java", "java"),
    _language("javascript", "JavaScript", "js", "mjs", "cjs", "jsx"),
    _language("typescript", "TypeScript", "ts", "mts", "cts", "tsx"),
    _language("julia", "Julia", "jl"),
    _language("kotlin", "Kotlin", "kt", "kts"),
    _language("lisp", "Lisp", "lisp", "lsp"),
    _language("lua", "Lua", "lua"),
    _language("makefile", "Makefile", "mk"),
    _language("matlab", "Matlab"),
    _language("objectivec", "ObjectiveC", "mm"),
    _language("ocaml", "OCaml", "ml", "mli"),
    _language("pascal", "Pascal", "pas"),
    _language("perl", "Perl", "pl", "pm"),
    _language("php", "PHP", "php"),
    _language("powershell", "PowerShell", "ps1", "psm1"),
    _language("prolog", "Prolog"),
    _language("r", "R", "r"),
    _language("ruby", "Ruby", "rb"),
    _language("rust", "Rust", "rs"),
    _language("scala", "Scala", "scala"),
    _language("scheme", "Scheme", "scm"),
    _language("shell", "Bash", "sh", "bash", "zsh"),
    _language("sql", "SQL", "sql"),
    _language("swift", "Swift", "swift"),
    _language("vba", "VisualBasic", "vb", "vbs", "bas"),
    _language("yaml", "YAML", "yml", "yaml"),
    _language("toml", "TOML", "toml"),
    _language("zig", "Zig", "zig"),
)

BY_MEDIA_TYPE: Mapping[str, ProgrammingLanguage] = MappingProxyType(
    {language.media_type: language for language in LANGUAGES}
)
