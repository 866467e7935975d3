"""The command line: ``foretune VERB [FILE...] [--flag value...] [--set path=value...]``.

Every verb reads the same run from the same words. Flags are those of the official scripts and of
transformers' TrainingArguments, and every parameter's dotted path. The heavy half is imported
inside the verb that needs it.
"""

from __future__ import annotations

import json
import locale
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import Problem, UserError, refuse
from .facts import Facts
from .params.run import Run
from .params.setting import COMMAND_LINE
from .text import counted, nearest

if TYPE_CHECKING:
    from .check.finding import Finding

USAGE = """\
foretune: know the fine-tuning run before you run it; then run it.

  foretune explain FILE... | KEY...     what every value means, where it was set, what it does here
                                        (--lang zh|en, --all, --format text|md|json|html)
  foretune check FILE...                what is wrong, why, and how to mend it; 1 where a run fails
                                        (--device "RTX 4090" [--gpus N], --tokens, --fix,
                                        --format text|json|sarif|github, --lang zh|en)
  foretune diff A B                     what differs, what follows, what is only spelling (exit code
                                        1: they differ); of several files each: A... -- B...
  foretune plan FILE...                 rows, steps and parameters, from the files alone
                                        (--transformers VERSION, --tokens, --format json)
  foretune plan CONFIG --trainable N    which settings have exactly N trainable parameters
  foretune train FILE...                forecast, train, evaluate, report
  foretune evaluate FILE...             the same run, without training
  foretune convert FILE...              any of these as one run file (YAML), origins as comments
  foretune export MODEL OUT             a model, or what was tuned, as a folder that others load
                                        (--layout published|hf|meta, --checkpoint FOLDER,
                                        --dtype float16, --max_shard_size 5GB)
  foretune completion bash|zsh          a script that completes all of this in a shell

FILE is a shell script of the official kind (train.sh), a run file (YAML, TOML, JSON), or a model's
config.json. After the files come flags, which count more: those of the official scripts, those of
TrainingArguments, every parameter by its path (--batch.micro 4), and --set path=value...

  foretune train train.sh --set model.path=/weights data.train=train.json
  foretune train --do_train --model_name_or_path /weights --train_file train.json ...
  foretune explain pre_seq_len --lang zh
"""


EXPORT = """\
foretune export MODEL OUT               writes a model into the new folder OUT

MODEL is the folder of a model, a name of the hub, or what a tuning run has written (checkpoint-N):
LoRA matrices are merged into the weights, a prefix stays beside them. Nothing of a folder is run.

                                        without --layout: in the layout that it is in
  --layout published                    as the family's authors published it
  --layout hf                           as an architecture that transformers has itself: ChatGLM2,
                                        ChatGLM3 and GLM-4 as glm, Baichuan 7B and Meta's Llama as
                                        llama
  --layout meta                         Llama as params.json and consolidated.00.pth
  --checkpoint FOLDER                   what was tuned on MODEL, where it does not name its base
  --dtype float32|float16|bfloat16      number type of the weights (default: that of the model)
  --max_shard_size SIZE                 the most that a file may hold (default: 5GB)
"""


@dataclass(slots=True)
class Words:
    """The words of a command line, sorted."""

    line: tuple[str, ...] = ()
    """All of them, with the verb, as they were written."""
    files: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    set: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)

    def language(self) -> str:
        asked = self.options.get("lang") or (locale.getlocale()[0] or os.environ.get("LANG", ""))
        return "zh" if asked.lower().startswith(("zh", "chinese")) else "en"


OPTIONS = {
    "explain": {"lang": True, "format": True, "all": False},
    "check": {
        **dict.fromkeys(("lang", "format", "device", "gpus"), True),
        **dict.fromkeys(("tokens", "fix"), False),
    },
    "diff": {"lang": True, "format": True},
    "plan": {"transformers": True, "trainable": True, "tokens": False, "format": True},
    "train": {},
    "evaluate": {},
    "convert": {},
    "export": {"layout": True, "checkpoint": True, "dtype": True, "max_shard_size": True},
    "completion": {},
}
"""The options of each verb that are no parameters of a run, and whether they take a value."""


def sort_words(verb: str, words: Sequence[str]) -> Words:
    """Files come before flags; ``--set`` takes every word with a '=' that follows; the verb's own
    options apart.
    """
    sorted_words, rest = Words((verb, *words)), list(words)
    options = OPTIONS[verb]
    while rest:
        word = rest.pop(0)
        name, given, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if word == "--set":
            while rest and "=" in rest[0] and not rest[0].startswith("--"):
                sorted_words.set.append(rest.pop(0))
        elif word.startswith("--") and name in options:
            if options[name] and not given:
                if not rest:
                    raise refuse(
                        what=f"{word} has no value",
                        where="command line",
                        why="it is the last word, and it takes one",
                        fix=f"write {word} VALUE",
                    )
                value = rest.pop(0)
            sorted_words.options[name] = value
        elif not sorted_words.flags and (word == "-" or not word.startswith("-")):
            sorted_words.files.append(word)
        else:
            sorted_words.flags.append(word)
    return sorted_words


def refuse_nothing(words: Words, verb: str) -> None:
    """Raises UserError where no file, flag or setting follows the verb."""
    if not (words.files or words.flags or words.set):
        raise refuse(
            what=f"`foretune {verb}` is given nothing",
            where="command line",
            why="a run is read from files, flags or settings",
            fix=f"name one, for example: foretune {verb} train.sh",
        )


def read_run(words: Words) -> Run:
    """The run that files, flags and --set describe, the later the stronger."""
    from .formats.read import read

    return read(*words.files, flags=words.flags, set=words.set)


def explain(words: Words) -> int:
    from .explain.command import explain as explained
    from .explain.listing import parameter_list

    language, form = words.language(), words.options.get("format", "text")
    if not (words.files or words.flags or words.set) and form == "text":
        print("\n".join(parameter_list(language=language)))
        return 0
    names = [word for word in words.files if is_parameter(word)]
    words.files = [word for word in words.files if word not in names]
    run = read_run(words) if words.files or words.flags or words.set else None
    text = explained(
        run,
        names,
        language=language,
        format=form,
        everything="all" in words.options,
        facts=None if run is None else counted_rows(run),
        title=" ".join(("foretune explain", *words.files, *names)),
    )
    print(text)
    return 0


def diff(words: Words) -> int:
    from .diff.command import diff as compared
    from .diff.command import laid_out

    named = [*words.files, *words.flags]
    place = named.index("--") if "--" in named else len(named) // 2
    sides = named[:place], named[place + ("--" in named) :]
    if not all(sides) or (len(named) != 2 and "--" not in named):
        raise refuse(
            what=f"`foretune diff` is given {len(named)} files",
            where="command line",
            why="it holds two files, or two runs of several files each, beside each other",
            fix="write foretune diff A B, or foretune diff A1 A2 -- B1 B2",
        )
    one, other = (read_run(Words(files=files)) for files in sides)
    found = compared(one, other, (" ".join(sides[0]), " ".join(sides[1])))
    form = words.options.get("format", "text")
    print(laid_out(found, language=words.language(), format=form))
    return 0 if found.equal else 1


QUICKLY_COUNTED = 4_000_000
"""Bytes of a data file whose rows `foretune explain` counts; `foretune plan` counts any."""


def counted_rows(run: Run) -> Facts | None:
    """What is known of a run's rows without a tokenizer; None where they are not here, or so many
    that counting them would keep a reader waiting.
    """
    from pathlib import Path

    file = Path(run.data.train or "")
    if not (run.launch.train and file.is_file() and file.stat().st_size <= QUICKLY_COUNTED):
        return None
    from .train.foresee import foresee

    try:
        return foresee(run).facts
    except UserError:  # what is wrong with the rows is what `foretune check` says
        return None


def check(words: Words) -> int:
    """Says what is wrong; 1 where something keeps the run from doing what it is asked."""
    from .check.fix import mended_text
    from .check.output import FORMATS
    from .formats.read import read_sound
    from .train.examine import examine

    refuse_nothing(words, "check")
    form, language = one_of(words, "format", FORMATS), words.language()
    device, gpus = words.options.get("device"), whole_number(words, "gpus")

    def reread() -> tuple[Run, list[Problem]]:
        return read_sound(*words.files, flags=words.flags, set=words.set)

    def findings() -> list[Finding]:
        run, problems = reread()
        wrong = [problem for problem in problems if problem.where.startswith(COMMAND_LINE)]
        if wrong or not (run.settings or run.documents):
            raise UserError(wrong or problems)
        tokens = "tokens" in words.options
        return examine(run, problems, device=device, gpus=gpus, tokens=tokens)

    found = findings()
    if "fix" in words.options:
        told = mended_text(found, reread, language)
        print(told, file=sys.stdout if form == "text" else sys.stderr)
        found = findings()
    print(FORMATS[form](found, language))
    return int(any(finding.severity == "error" for finding in found))


def one_of(words: Words, option: str, known: Iterable[str]) -> str:
    """The value of an option that names one of several; the first where it is not written."""
    names = list(known)
    asked = words.options.get(option, names[0])
    if asked not in names:
        raise refuse(
            what=f"--{option} {asked} is not known",
            where=COMMAND_LINE,
            why=f"it is one of {', '.join(names)}",
            fix=f"write --{option} {nearest(asked, names) or names[0]}",
        )
    return asked


def whole_number(words: Words, option: str) -> int | None:
    """The value of an option that is a number of things; None where it is not written."""
    asked = words.options.get(option)
    if asked is not None and not (asked.isdecimal() and int(asked)):
        raise refuse(
            what=f"--{option} {asked} is no number",
            where=COMMAND_LINE,
            why="it takes a whole number, at least 1",
            fix=f"write --{option} 1",
        )
    return None if asked is None else int(asked)


FILES = {".sh", ".json", ".yaml", ".yml", ".toml", ".txt", ".py", ".log"}


def is_parameter(word: str) -> bool:
    """Whether a word of `foretune explain` names a parameter, and not a file."""
    from pathlib import Path

    path = Path(word)
    return word != "-" and "/" not in word and path.suffix not in FILES and not path.exists()


def trainable(run: Run, written: str) -> int:
    """Says which settings train exactly so many parameters; 1 where none is known."""
    from .formats.model_config import model_file
    from .plan.parameters import explanations

    digits = written.replace(",", "").replace("_", "")
    if not digits.isdecimal():
        raise refuse(
            what=f"--trainable {written} is no number",
            where="command line",
            why="it takes a number of parameters, as a training log prints it",
            fix="write it with digits: --trainable 1949696 or 1,949,696",
        )
    config = model_file(run)
    if config is None:
        raise refuse(
            what="there is no model config to count with",
            where="command line",
            why="the number of trainable parameters depends on the sizes of the model",
            fix="name a config.json, or --model_name_or_path a folder that has one",
        )
    found = list(explanations(config.shape, int(digits)))
    print("\n".join(map(str, found)) or f"nothing known gives exactly {int(digits):,}")
    return 0 if found else 1


def plan(words: Words) -> int:
    from .plan.forecast import remarks, training_log
    from .train.foresee import foresee

    refuse_nothing(words, "plan")
    run = read_run(words)
    if "trainable" in words.options:
        return trainable(run, words.options["trainable"])
    expected = foresee(
        run,
        transformers=words.options.get("transformers"),
        tokens="tokens" in words.options,
    )
    if words.options.get("format") == "json":
        print(json.dumps(expected.figures(), indent=1))
        return 0
    if expected.steps is not None:
        print(training_log(expected))
    for remark in remarks(expected):
        print(f"  {remark}")
    for note in expected.run.notes:
        print(f"note: {note}")
    return 0


def train(words: Words) -> int:
    run = read_run(words)
    if not (run.launch.train or run.launch.evaluate or run.launch.predict):
        run = run.set({"launch.train": True})
    return run_whole(run, words)


def evaluate(words: Words) -> int:
    run = read_run(words)
    asked: dict[str, object] = {"launch.train": False, "generate.enabled": True}
    if not (run.launch.evaluate or run.launch.predict):
        asked["launch.predict" if run.data.test else "launch.evaluate"] = True
    return run_whole(run.set(asked), words)


def run_whole(run: Run, words: Words) -> int:
    """Runs it here, or in as many processes as its launcher would start."""
    from .train.foresee import foresee
    from .train.launch import needs_processes, relaunch, set_environment

    set_environment(run)
    if needs_processes(run):
        foresee(run)  # what is wrong with the files is told once, and not by every process
        return relaunch(run, words.line)
    from .train.conduct import execute

    return 0 if execute(run).ended == "finished" else 130


def convert(words: Words) -> int:
    from .formats.run_file import write_run

    refuse_nothing(words, "convert")
    print(write_run(read_run(words)), end="")
    return 0


def export(words: Words) -> int:
    if len(words.files) != 2 or words.flags or words.set:
        given = " ".join([*words.files, *words.flags, *words.set])
        known = [f"--{name}" for name in OPTIONS["export"]]
        like = next((nearest(flag, known) for flag in words.flags), None)
        raise refuse(
            what=f"`foretune export` is given {given or 'nothing'}",
            where="command line",
            why="it takes a model and the folder to write, and options of its own",
            fix=f"did you mean {like}?"
            if like
            else "for example: foretune export output/checkpoint-3000 merged --layout hf",
        )
    from .export.write import export as write

    done = write(*words.files, **words.options)
    print(f"{done.folder}: {counted(len(done.files), 'file')}")
    for note in done.notes:
        print(f"note: {note}")
    return 0


def completion(words: Words) -> int:
    from .explain.completion import completion as script

    print(script(" ".join(words.files) or "bash", OPTIONS), end="")
    return 0


VERBS: dict[str, Callable[[Words], int]] = {
    "explain": explain,
    "diff": diff,
    "check": check,
    "plan": plan,
    "train": train,
    "evaluate": evaluate,
    "convert": convert,
    "export": export,
    "completion": completion,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; 0 when it did what was asked, 1 for a 'no', 2 for what the user can mend, 130
    for an interrupt.
    """
    verb, *words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if verb in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
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
        return VERBS[verb](sort_words(verb, words))
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
    from .explain.listing import parameter_list

    print(USAGE)
    print(f"The parameters of `foretune {verb}` that matter most (all: `foretune explain`):\n")
    print("\n".join(parameter_list(at_least=2)))
    return 0
