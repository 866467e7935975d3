"""One thing that can be explained: a parameter of a run, a key of a model's config, a key of a file
beside the run; and how it is found by any of its names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..errors import UserError, refuse
from ..formats.deepspeed_names import ALIASES
from ..formats.documents import field_names
from ..formats.removed_arguments import REMOVED
from ..formats.spellings import STANDS_FOR, removed, spellings
from ..params.arch import Family, families
from ..params.arch.architecture import ModelKeys
from ..params.declare import Facts, Words, facts_of, source_of, words_of
from ..params.run import expected, parameters, section_of
from ..text import Said, sentence_list

CONFIG = "config."
"""In front of a key of the model's own file, as in the findings of `foretune check`."""

FEW = 4
"""So many parameters of one last name are explained together."""

SUGGESTED = 3
"""So many names are offered for one that is not known."""

NO_EFFECT = re.compile(r"(^|[.:] )No effect[.:]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One declaration, wherever it stands."""

    key: str
    """What it is called here: 'batch.micro', 'config.seq_length'."""
    name: str
    """What its own file calls it: 'batch.micro', 'seq_length'."""
    section: type[BaseModel]
    field: str

    @property
    def declared(self) -> FieldInfo:
        return self.section.model_fields[self.field]

    @property
    def facts(self) -> Facts:
        return facts_of(self.declared)

    @property
    def source(self) -> str | None:
        """Where what is said of it was read."""
        return source_of(self.section, self.field)

    @property
    def words(self) -> Words:
        return words_of(self.section, self.field)

    @property
    def takes(self) -> str:
        """Its type, range or choices."""
        return expected(self.declared)

    @property
    def default(self) -> object:
        return self.declared.default

    @property
    def owner(self) -> type[BaseModel] | None:
        """What declares the file that has it; None for a parameter of the run."""
        return None if self.key in parameters() else self.section

    @property
    def families(self) -> tuple[str, ...]:
        """The files that have this key and mean the same by it, by what declares them."""
        if self.owner is None:
            return ()
        words, alike = self.words, config_keys().get(self.name, ())
        same = [called(one) for one in alike if of_config(one, self.name).words == words]
        return tuple(same) or (called(self.section),)

    @property
    def defaults(self) -> dict[str, list[str]]:
        """The defaults of all the families that mean the same by the key, and whose they are."""
        found: dict[str, list[str]] = {}
        for section in config_keys().get(self.name, ()):
            if called(section) in self.families:
                default = of_config(section, self.name).default
                found.setdefault(repr(default), []).append(called(section))
        return found

    @property
    def has_no_effect(self) -> bool:
        """Whether its own words say so."""
        return NO_EFFECT.search(self.words.en) is not None

    @property
    def others(self) -> tuple[str, ...]:
        """What other programs call it."""
        own = self.name.rpartition(".")[2]
        return tuple(name for name in spellings().get(self.key, ()) if name != own)


def of_run(path: str) -> Entry:
    """The entry of a parameter of the run."""
    return Entry(path, path, section_of(path), path.rpartition(".")[2])


def of_config(section: type[BaseModel], key: str) -> Entry:
    """The entry of a key of a model's file, or of another that lies beside a run."""
    prefix = CONFIG if _is_model(section) else f"{called(section)}."
    return Entry(f"{prefix}{key}", key, section, field_names(section)[key])


def called(section: type[BaseModel]) -> str:
    """The family of a model, or what the file is."""
    return section.__name__ if _is_model(section) else others()[section]


def _is_model(section: type[BaseModel]) -> bool:
    return issubclass(section, Family | ModelKeys)


def config_entries(section: type[BaseModel]) -> Iterator[Entry]:
    """The entries of all keys of a model's file."""
    return (of_config(section, key) for key in field_names(section))


@cache
def others() -> dict[type[BaseModel], str]:
    """What declares a file beside the run that is no model's, and what such a file is."""
    from ..formats import (
        environment,
        generation_config,
        official,
        tokenizer_config,
        trainer_state,
        training_log,
    )
    from ..params.environment import Environment
    from ..params.generation_config import GenerationDefaults
    from ..params.never_read import NeverRead
    from ..params.tokenizer_config import TokenizerSettings
    from ..params.trainer_state import TrainerState
    from ..params.training_log import TrainingLog

    return {
        GenerationDefaults: generation_config.KIND,
        TokenizerSettings: tokenizer_config.KIND,
        TrainingLog: training_log.KIND,
        TrainerState: trainer_state.KIND,
        Environment: environment.KIND,
        NeverRead: official.PROGRAM,
    }


@cache
def models() -> tuple[type[BaseModel], ...]:
    """What declares a file beside the run: the families of models, the keys that all other models
    share, and the rest.
    """
    from ..params.arch.any_model import AnyModel

    return (*families(), AnyModel, *others())


@cache
def config_keys() -> dict[str, tuple[type[BaseModel], ...]]:
    """Every key of every model's file, and what declares it."""
    found: dict[str, list[type[BaseModel]]] = {}
    for section in models():
        for key in field_names(section):
            found.setdefault(key, []).append(section)
    return {key: tuple(owners) for key, owners in found.items()}


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for."""

    entries: tuple[Entry, ...]
    gone: Said | None = None
    """Why transformers 5 has the name no longer, where it had it once."""
    stands_for: Said | None = None
    """What its values stand for, where they are not those of the parameter."""


def find(name: str) -> Found:
    """What goes by a name: a parameter's path or its last part, a section ('optim'), a key of a
    model's config ('seq_length', 'ChatGLM2.seq_length'), any name that a format has for one of
    them, and the names that transformers has given up.

    Raises:
        UserError: where nothing has the name, with the nearest that is known; where many parameters
            have it as their last part, with all of them.
    """
    paths = parameters()
    if name in paths:
        return Found((of_run(name),))
    bare = name.lstrip("-").replace("-", "_")
    bare = ALIASES.get(bare, bare)
    if bare.isupper():
        from ..formats.environment import twin

        bare = twin(bare) or bare
    if bare.isupper() and not (_spelled(bare) or bare in config_keys()):
        bare = bare.lower()  # a variable of a script: PRE_SEQ_LEN
    spelled = _spelled(bare)
    ends = spelled or [path for path in paths if path.endswith(f".{bare}")]
    ends = ends or _spelled_inside(bare)
    if spelled and "." in bare:  # bf16.enabled: the key of a file, and what the file itself has
        ends += [path for path in paths if path.endswith(f".{bare}") and path not in ends]
    keys = list(_keys_named(name)) or list(_keys_named(bare))
    if len(ends) > FEW and not keys:
        raise _several(name, ends)
    if ends or keys:
        return Found((*map(of_run, ends[:FEW]), *keys), stands_for=STANDS_FOR.get(bare))
    if inside := [path for path in paths if path.startswith(f"{name}.")]:
        return Found(tuple(map(of_run, inside)))
    if owners := [one for one in models() if called(one).lower() == name.lower()]:
        return Found(tuple(config_entries(owners[0])))
    if (gone := removed(bare)) is not None:
        example = True if REMOVED[bare].kind == "boolean" else "0.5"  # which, for any value
        return Found(tuple(map(of_run, REMOVED[bare].read(example))), gone)
    if (known := names_known().get(plain(name))) not in (None, name):
        return find(known)
    raise _unknown(name)


def plain(name: str) -> str:
    """A name without its case, dashes, blanks and value: '--Learning-Rate=1e-4' is learning_rate,
    and 'generation config.top_p' generation_config.top_p.
    """
    return re.sub(r"[\s-]+", "_", name.partition("=")[0].strip().lstrip("-")).lower()


@cache
def names_known() -> dict[str, str]:
    """Every name that something has, by how it looks when it is plain."""
    keys = config_keys()
    owned = (f"{called(one)}.{key}" for key, sections in keys.items() for one in sections)
    others = (name for names in spellings().values() for name in names)
    ends = (path.rpartition(".")[2] for path in parameters())
    every = [*parameters(), *others, *keys, *owned, *REMOVED, *ends]
    return {plain(name): name for name in reversed(every)}


def _spelled(name: str) -> list[str]:
    """The parameters that some format calls so."""
    return [path for path, names in spellings().items() if name in names]


def _spelled_inside(name: str) -> list[str]:
    """Those that it calls so inside of a section."""
    end = f".{name}"
    return [path for path, names in spellings().items() if any(one.endswith(end) for one in names)]


def _keys_named(name: str) -> Iterator[Entry]:
    """The keys of models' files under a name: 'seq_length', 'config.seq_length',
    'ChatGLM2.seq_length'.
    """
    owner, key = "", name
    if name not in config_keys():
        programs = [f"{one}." for one in map(called, others()) if "." in one]
        start = next(
            (one for one in programs if name.startswith(one)), name.partition(".")[0] + "."
        )
        owner, key = start[:-1], name[len(start) :]  # main.py.lang
    for family in config_keys().get(key, ()):
        entry = of_config(family, key)
        if not owner or entry.key == name or owner.lower() == called(family).lower():
            yield entry


def _several(name: str, paths: list[str]) -> UserError:
    return refuse(
        what=f"{name!r} is the name of {len(paths)} parameters",
        where="foretune explain",
        why=f"{sentence_list(paths)} all end in it",
        fix="write the whole path of the one you mean",
    )


def _unknown(name: str) -> UserError:
    like = suggestions(name)
    meant = " or ".join(map(repr, like))
    return refuse(
        what=f"nothing is known under the name {name!r}",
        where="foretune explain",
        why="it is no parameter's path, no key of a model's config and no format's name for one",
        fix=f"did you mean {meant}?" if like else "`foretune explain` lists every parameter",
    )


def suggestions(name: str) -> list[str]:
    """The names that are most like one, its own last part first where that is one; of a word that
    is no name, the parameters that are explained by it, the most important first.
    """
    known, asked = names_known(), plain(name)
    inside = asked.partition(".")[2]
    like = [inside] if inside in known else []
    like += difflib.get_close_matches(asked, known, n=SUGGESTED, cutoff=0.6)
    found: dict[str, str] = {}
    for one in like:
        found.setdefault(one.rpartition(".")[2], known[one])
    if found:
        return list(found.values())[:SUGGESTED]
    entries = [of_run(path) for path in parameters()]
    telling = [one for one in entries if name.lower() in str(one.words.summary).lower()]
    return [one.key for one in sorted(telling, key=lambda one: -one.facts.matters)][:SUGGESTED]


def distinct(entries: tuple[Entry, ...]) -> list[Entry]:
    """Without those that a family only inherits where another shown one says the same: every
    config.json has a pad_token_id, and one text about it is enough.
    """
    seen: set[tuple[str, str]] = set()
    kept: list[Entry] = []
    for entry in entries:
        said = (entry.name, entry.words.en)
        if said not in seen or entry.owner is None:
            kept.append(entry)
        seen.add(said)
    return kept
