"""The command line: ``foretune VERB [FILE...] [--flag value...] [--set path=value...]``.

Every verb reads the same run from the same words. Flags are those of the official scripts and of
transformers' TrainingArguments, and every parameter's dotted path. The heavy half is imported
inside the verb that needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from ..errors import UserError, refuse
from ..text import nearest
from .usage import EXPORT, USAGE
from .words import OPTIONS, sort_words

__all__ = ["OPTIONS", "VERBS", "main"]

VERBS = {
    "explain": "reading",
    "diff": "reading",
    "check": "reading",
    "plan": "planning",
    "train": "running",
    "evaluate": "running",
    "calibrate": "calibrating",
    "convert": "reading",
    "export": "running",
    "completion": "reading",
}
"""The module here that has the function of each verb; it is imported when the verb is asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; 0 when it did what was asked, 1 for a 'no', 2 for what the user can mend, 130
    for an interrupt.
    """
    verb, *words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if verb in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    # None of pydantic's plugins is used, and to look for them it reads what every package installs.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        if verb not in VERBS:
            like = nearest(verb, VERBS)
            raise refuse(
                what=f"there is no verb {verb!r}",
                where="command line",
                why=f"the verbs are {', '.join(VERBS)}",
                fix=f"did you mean {like!r}?" if like else "`foretune --help` shows them",
            )
        if {"-h", "--help"} & set(words):
            return help_for(verb)
        return getattr(import_module(f".{VERBS[verb]}", __name__), verb)(sort_words(verb, words))
    except UserError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `foretune explain ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def help_for(verb: str) -> int:
    """The usage, and the parameters that matter most."""
    if verb == "export":
        print(EXPORT, end="")
        return 0
    from ..explain.listing import parameter_list

    print(USAGE)
    print(f"The parameters of `foretune {verb}` that matter most (all: `foretune explain`):\n")
    print("\n".join(parameter_list(at_least=2)))
    return 0
