"""Makes programs out of functions: plugin modules and scripts."""

from __future__ import annotations

from typing import assert_never

import trio

from actors.errors import ConfigurationError
from actors.functions.javascript_program import JavaScript, JavaScriptProgram
from actors.functions.program import SAVED, Program
from actors.functions.python_runtime import PythonProgram
from config.resources import Function
from plugins.loader import Plugins


class LanguagePrograms:
    """One maker for all languages (see `actors.functions.program.Programs`)."""

    def __init__(self, plugins: Plugins, javascript: JavaScript) -> None:
        self._plugins = plugins
        self._javascript = javascript

    def verify(self, function: Function) -> None:
        """See that a function could run; to be called in a worker thread, for scripts are read elsewhere.

        Raises:
            ConfigurationError: its code is not there, or cannot be read.
        """
        program = self.make(function, SAVED)
        if isinstance(program, JavaScriptProgram):
            problem = trio.from_thread.run(self._javascript.syntax_problem, function)
            if problem:
                raise ConfigurationError(problem)

    def make(self, function: Function, version: int) -> Program:
        """A program for a version of a function."""
        match function.language:
            case "python":
                return PythonProgram(function, version, self._plugins.function)
            case "javascript":
                return JavaScriptProgram(function, version, self._javascript)
            case language:
                assert_never(language)
