"""Parses C# files with tree-sitter's grammar: exit 1 and the place of the first error of each.

There is no C# compiler in Debian that knows top-level statements (mono's stops at C# 7). A grammar
finds broken syntax and broken literals; it knows no types.
"""

import sys

import tree_sitter_c_sharp
from tree_sitter import Language, Parser

parser = Parser(Language(tree_sitter_c_sharp.language()))


def first_error(node):
    """The first node that the grammar could not place, or None."""
    if node.is_error or node.is_missing:
        return node
    return next((found for child in node.children if child.has_error or child.is_missing
                 if (found := first_error(child))), None)


broken = False
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        tree = parser.parse(file.read())
    if tree.root_node.has_error:
        broken = True
        row, column = (first_error(tree.root_node) or tree.root_node).start_point
        print(f"{path}:{row + 1}:{column + 1}: not C#")
sys.exit(1 if broken else 0)
