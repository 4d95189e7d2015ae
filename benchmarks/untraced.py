"""A model with its tracing cut out, to see what tracing costs when nobody listens."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType


class _Cut(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST:
        return ast.Pass() if "trace is not None" in ast.unparse(node.test) else self.generic_visit(node)


def without_tracing(module: ModuleType, name: str) -> type:
    """Return the class of that name of a module with every ``if self.trace is not None`` cut out of it."""
    tree = _Cut().visit(ast.parse(inspect.getsource(module)))
    assert "trace is not None" not in ast.unparse(tree)
    names: dict[str, object] = {"__name__": "cut"}
    exec(compile(ast.fix_missing_locations(tree), "cut", "exec"), names)
    made = names[name]
    assert isinstance(made, type)
    return made
