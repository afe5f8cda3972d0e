"""Settings: a YAML file, with single ones overridden by the environment. And secrets that are written elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import msgspec

from config.decode import INVALID, Decoder
from config.errors import Problem, SecretError, SettingsError
from config.resources.base import Secret, SecretReference
from config.settings import Settings
from config.yaml import Items, Node, Pairs, Scalar, YamlError, parse

PREFIX = "PENSTOCK_"
NESTING = "__"


class Difference(NamedTuple):
    """A setting that is not at its default; `path` is dotted, as in `mqtt.listen.port`."""

    path: str
    value: Any
    default: Any


def load_settings(file: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings file, if there is one, and what the environment overrides.

    `PENSTOCK_MQTT__LISTEN__PORT=0` is `mqtt: {listen: {port: 0}}`: two underscores go one level down. What begins with
    `[` or `{` is a list or a mapping, as in the file. Other variables that begin with `PENSTOCK_` are left alone
    (PENSTOCK_DATA and PENSTOCK_TOKEN are for the command line).

    Raises:
        SettingsError: with all that is wrong: file and line, or the variable; path and reason.
    """
    root, problems = (Pairs((), 0), []) if file is None else _read(file)
    variables = dict(_overrides(environ))
    for path, value in variables.values():
        root = _overlaid(root, path, value)
    decoder = Decoder()
    settings = decoder.build(root, Settings)
    problems += [_located(problem, file, variables) for problem in decoder.problems]
    if problems or settings is INVALID:
        raise SettingsError(problems)
    return settings  # type: ignore[no-any-return]  # what is not INVALID is of the type that was asked for


def _read(file: Path) -> tuple[Node, list[Problem]]:
    try:
        documents = list(parse(file.read_bytes()))
    except OSError as error:
        return Pairs((), 0), [Problem(f"cannot be read: {error.strerror}", file=str(file))]
    except YamlError as error:
        return Pairs((), 0), [Problem(error.reason, file=str(file), line=error.line)]
    if len(documents) > 1:
        reason = "settings are one document; a second one begins here"
        return documents[0].root, [Problem(reason, file=str(file), line=documents[1].line)]
    return (documents[0].root if documents else Pairs((), 0)), []


def _overrides(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[tuple[str, ...], str]]]:
    top = {field.encode_name for field in msgspec.structs.fields(Settings)}
    for variable, value in sorted(environ.items()):
        path = tuple(variable.removeprefix(PREFIX).lower().split(NESTING))
        if variable.startswith(PREFIX) and (len(path) > 1 or path[0] in top):
            yield variable, (path, value)


def _overlaid(node: Node, path: tuple[str, ...], value: str) -> Node:
    """The node with another value at a path; what stands in the way of the path is replaced."""
    if not path:
        return _written(value)
    pairs = node.pairs if isinstance(node, Pairs) else ()
    below = node.get(path[0]) if isinstance(node, Pairs) else None
    new = _overlaid(below or Pairs((), 0), path[1:], value)
    if below is None:
        pairs += ((Scalar(path[0], 0, plain=True), new),)
    else:
        pairs = tuple((key, new if old is below else old) for key, old in pairs)
    return Pairs(pairs, node.line)


def _written(value: str) -> Node:
    """What a variable says: a list or a mapping in brackets, else one scalar."""
    if value.lstrip().startswith(("[", "{")):
        try:
            [document] = parse(value)
        except (YamlError, ValueError):
            return Scalar(value, 0, plain=True)
        return _without_lines(document.root)
    return Scalar(value, 0, plain=True)


def _without_lines(node: Node) -> Node:
    match node:
        case Scalar():
            return dataclasses.replace(node, line=0)
        case Items():
            return Items(tuple(_without_lines(item) for item in node.items), 0)
        case Pairs():
            pairs = tuple((dataclasses.replace(key, line=0), _without_lines(below)) for key, below in node.pairs)
            return Pairs(pairs, 0)
    assert_never(node)


def _located(problem: Problem, file: Path | None, variables: Mapping[str, tuple[tuple[str, ...], str]]) -> Problem:
    """Name the variable that is behind a problem without a line, else the file."""
    if problem.line == 0:
        for variable, (path, _) in variables.items():
            dotted = "$." + ".".join(path)
            names_part = any(f"unknown field `{part}`" in problem.reason for part in path)
            inside = problem.path.startswith((f"{dotted}.", f"{dotted}["))
            if dotted == problem.path or inside or (names_part and dotted.startswith(f"{problem.path}.")):
                return dataclasses.replace(problem, file=variable)
    return dataclasses.replace(problem, file=str(file or "settings"))


def differences(settings: Settings) -> list[Difference]:
    """The settings that differ from the defaults, in the order in which they are declared."""
    return list(_differences(settings, Settings(), ""))


def _differences(value: Any, default: Any, path: str) -> Iterator[Difference]:
    if isinstance(value, msgspec.Struct) and isinstance(default, type(value)):
        for field in msgspec.structs.fields(value):
            inner = f"{path}.{field.encode_name}" if path else field.encode_name
            yield from _differences(getattr(value, field.name), getattr(default, field.name), inner)
    elif value != default:
        yield Difference(path, value, default)


def resolve_secret(secret: Secret, environ: Mapping[str, str]) -> str | None:
    """The text of a secret; None for one that was left out. Reads the file of a `{file: PATH}` (blocking).

    A line end at the end of a file is not part of the secret. The default is taken where the variable is not set (or
    empty) or the file is not there.

    Raises:
        SecretError: says what to set or write.
    """
    if not isinstance(secret, SecretReference):
        return secret
    if secret.env is not None:
        return _from_environment(secret.env, secret.default, environ)
    return _from_file(secret.file or "", secret.default)


def _from_environment(name: str, default: str | None, environ: Mapping[str, str]) -> str:
    value = environ.get(name) or default
    if value is None:
        raise SecretError(f"the environment variable {name} is not set, and there is no default; set it for the daemon")
    return value


def _from_file(path: str, default: str | None) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        if default is not None:
            return default
        raise SecretError(f"the file {path} is not there, and there is no default; write the secret into it") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SecretError(f"the file {path} cannot be read: {reason}") from error
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretError(f"the file {path} is empty; write the secret into it")
    return secret
