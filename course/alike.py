"""Which answers to a task are the same: code once its own names, comments and layout are taken away, text word for word."""

import ast
import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from course.marks import NOT_HANDED_IN, Mark

SHORT = 30  # an answer of fewer parts is written alike by people who never met
_NAMED = {
    ast.Name: "id", ast.arg: "arg", ast.FunctionDef: "name", ast.AsyncFunctionDef: "name", ast.ClassDef: "name",
    ast.ExceptHandler: "name", ast.alias: "asname", ast.MatchAs: "name", ast.MatchStar: "name", ast.MatchMapping: "rest",
}  # fmt: skip
_SCOPES = (
    ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def _bound(scope: ast.AST) -> Iterator[str]:
    """Give the names that a scope makes: arguments, assigned names, functions; not those of a scope within it."""
    todo = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop()
        name = getattr(node, _NAMED.get(type(node), ""), None)
        if name and not isinstance(getattr(node, "ctx", None), ast.Load):
            yield name
        if not isinstance(node, _SCOPES):
            todo += ast.iter_child_nodes(node)


class _Renamer(ast.NodeTransformer):
    """Rename what an answer names itself, in the order of appearance; drop docstrings and annotations."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, str]] = []
        self.numbers = itertools.count(1)

    def renamed(self, name: str) -> str:
        for scope in reversed(self.scopes):
            if name in scope:
                scope[name] = scope[name] or f"name{next(self.numbers)}"
                return scope[name]
        return name

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return None
        if isinstance(node, ast.AnnAssign):
            return self.visit(ast.Assign([node.target], node.value)) if node.value else None
        field = _NAMED.get(type(node), "")
        if getattr(node, field, None):
            setattr(node, field, self.renamed(getattr(node, field)))
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [self.renamed(name) for name in node.names]
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and self.renamed(node.func.id) != node.func.id
        ):
            for place, keyword in enumerate(node.keywords):  # of an own helper, whose arguments have other names by now
                keyword.arg = keyword.arg and f"argument{place}"
        for annotation in {"annotation", "returns"} & set(node._fields):
            setattr(node, annotation, None)
        if not isinstance(node, _SCOPES):
            return self.generic_visit(node)
        self.scopes.append(dict.fromkeys(_bound(node), ""))
        self.generic_visit(node)
        self.scopes.pop()
        return node


def without_names(source: str) -> tuple[str, int] | None:
    """Write an answer as it looks once its own names are taken away, with its number of parts; None if it is no Python.

    >>> without_names("def f(x): return x.sum()") == without_names("def f(logits): return logits.sum()  # mine")
    True
    >>> without_names("def f(x): return x.sum(0)") == without_names("def f(x): return x.sum(1)")
    False
    """
    try:
        if len(source) > 20_000:
            return None
        with warnings.catch_warnings(action="ignore"):
            tree = _Renamer().visit(ast.parse(source))
        return ast.dump(tree), sum(not isinstance(node, ast.expr_context) for node in ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def alike(marks: Sequence[Mark]) -> tuple[list[list[Mark]], list[list[Mark]], int]:
    """Group the answers to one task that are the same.

    Returns
    -------
    tuple
        Groups worth a look, the largest first; groups too short to mean anything, or of code that more than a third of
        those who tried have written; and how many answers could not be compared.
    """
    tried = [m for m in marks if m.answer.strip() and m.status not in ("not_attempted", *NOT_HANDED_IN)]
    groups: dict[tuple[str, int] | None, list[Mark]] = {}
    for mark in tried:
        words = mark.answer.casefold().split()
        seen = (" ".join(words), len(words)) if mark.kind == "text" else without_names(mark.answer)
        groups.setdefault(seen, []).append(mark)
    unread = len(groups.pop(None, []))
    telling: list[list[Mark]] = []
    common: list[list[Mark]] = []
    for seen, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        if seen and len(group) > 1:
            common_code = group[0].kind == "code" and len(group) > max(2, len(tried) / 3)
            (common if seen[1] < SHORT or common_code else telling).append(group)
    return telling, common, unread
