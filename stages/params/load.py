"""Parsing of `params.yaml`, and merging of each run with its recipe. `checks.params` validates the result."""

import re
from typing import Any, ClassVar

import yaml

from stages.core import lookup
from stages.params.options import options_of
from stages.params.schema import Recipe

Tree = dict[str, Any]

# Scalars of YAML 1.2, which DVC uses. In PyYAML's YAML 1.1, `3e-4` is text, `on` is true and `1:30` is ninety.
_RULES = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0b[01_]+|0o?[0-7_]+|[0-9_]+|0x[0-9a-fA-F_]+)", "-+0123456789"),
    "float": (
        r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """PyYAML's safe loader (in C where available) with the scalars of YAML 1.2; a duplicate key is an error."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, rule) for tag, rule in rules if tag.rpartition(":")[2] not in _RULES]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Tree:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        text = node.value.replace("_", "")
        base = {"0b": 2, "0o": 8, "0x": 16}.get(text.lstrip("+-")[:2], 10)
        return int(text, base)


for _name, (_rule, _first) in _RULES.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_rule})\Z"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)


def parse(text: str) -> Any:
    """Return the content of a YAML file as DVC reads it. Raises `yaml.YAMLError`, or `ValueError` for invalid dates."""
    return yaml.load(text, _Loader)


def resolve(content: Tree) -> Tree:
    """Return `content` with each run completed by its recipe's settings and its model's default options.

    Malformed items are left unchanged; the checks report them.
    """
    runs, recipes = content.get("runs"), content.get("recipes")
    if not isinstance(runs, dict):
        return content
    recipes = recipes if isinstance(recipes, dict) else {}
    return content | {"runs": {key: _resolved(run, recipes) for key, run in runs.items()}}


def _resolved(run: Any, recipes: Tree) -> Any:
    if not isinstance(run, dict):
        return run
    name, model = run.get("recipe"), run.get("model")
    recipe = recipes.get(name) if isinstance(name, str) else None
    if isinstance(recipe, dict):
        run = merged({key: value for key, value in recipe.items() if key in Recipe.model_fields}, run)
    if isinstance(model, dict) and model.get("name") in lookup.names("models"):
        options = options_of("models", model["name"]).items()
        run = run | {"model": {option: default for option, (_, default) in options if default is not ...} | model}
    return run


def merged(recipe: Tree, own: Tree) -> Tree:
    """Return `recipe` updated with `own`, key by key; a block with a different `name` replaces the whole block."""
    return recipe | {
        key: value if replaces(value, recipe.get(key)) else merged(recipe[key], value) for key, value in own.items()
    }


def replaces(value: Any, block: Any) -> bool:
    """Return whether a run's `value` replaces its recipe's `block` as a whole instead of key by key."""
    both = isinstance(value, dict) and isinstance(block, dict)
    return not both or value.get("name", ...) not in (..., block.get("name"))
