"""Makes programs out of functions: plugin modules and scripts."""

from __future__ import annotations

from typing import assert_never

from actors.functions.javascript_program import JavaScript, JavaScriptProgram
from actors.functions.program import Program
from actors.functions.python_runtime import PythonProgram
from config.resources import Function
from plugins.loader import Plugins


class LanguagePrograms:
    """One maker for all languages (see `actors.functions.program.Programs`)."""

    def __init__(self, plugins: Plugins, javascript: JavaScript) -> None:
        self._plugins = plugins
        self._javascript = javascript

    def make(self, function: Function, version: int) -> Program:
        """A program for a version of a function."""
        match function.language:
            case "python":
                return PythonProgram(function, version, self._plugins.function)
            case "javascript":
                return JavaScriptProgram(function, version, self._javascript)
            case language:
                assert_never(language)
