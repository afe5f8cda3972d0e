"""Makes programs out of functions: those of plugin modules."""

from __future__ import annotations

from actors.errors import ConfigurationError
from actors.functions.program import Program
from actors.functions.python_runtime import PythonProgram
from config.resources import Function
from plugins.loader import Plugins


class LanguagePrograms:
    """One maker for all languages (see `actors.functions.program.Programs`)."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins

    def make(self, function: Function, version: int) -> Program:
        """A program for a version of a function."""
        match function.language:
            case "python":
                return PythonProgram(function, version, self._plugins.function)
            case "javascript":
                raise ConfigurationError("this version runs no JavaScript yet")
