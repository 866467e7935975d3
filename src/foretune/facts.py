"""What was measured of a run's data and surroundings, as a plain record.

The heavy half measures (it has the tokenizer and the libraries) and hands these records to the
light half, which takes them as arguments and never goes and gets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows of one kind: how many, and the lines of the first."""

    count: int = 0
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What is odd in the texts of one file's rows, whatever becomes of them."""

    repeated: Seen = Seen()
    """Rows that say word for word what an earlier row says."""
    echoed: Seen = Seen()
    """Rows whose answer is their own question."""
    trailing: Seen = Seen()
    """Rows whose answer ends in blanks or empty lines."""
    out_of_turn: Seen = Seen()
    """Conversations among the bad rows in which somebody speaks out of turn."""
    commands: Seen = Seen()
    """Rows in which the name of a control token is read as that token."""
    spelt_out: Seen = Seen()
    """Rows whose answer holds the name of a control token that is read as letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What the length limits do to the rows of one file, with the rows to look at first."""

    prompts_cut: int = 0
    """Rows whose prompt (with its history) is longer than the source limit."""
    questions_cut: int = 0
    """Rows among them whose newest question lost its end."""
    answers_cut: int = 0
    """Rows whose answer is longer than the target limit."""
    dropped: int = 0
    """Rows left out because the over-long policy says so."""
    ends_lost: int = 0
    """Rows whose answer was cut and is not followed by its end token."""
    prompt_over: int = 0
    """Tokens by which the longest prompt is over its limit."""
    answer_over: int = 0
    """Tokens by which the longest answer is over its limit."""
    untrained: Seen = Seen()
    """Rows in which no token has a label."""
    lines: tuple[int, ...] = ()
    """Line numbers of the first damaged rows."""

    @property
    def rows(self) -> int:
        return self.prompts_cut + self.answers_cut


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """One data file after preparation: rows and tokens."""

    file: str
    rows: int
    """Rows in the file."""
    bad: int = 0
    """Rows that cannot be read and were skipped because that was asked for."""
    empty: int = 0
    """Rows without a prompt or without a response; the official code drops them without a word."""
    examples: int
    """Rows that the trainer sees."""
    damage: Damage = field(default_factory=Damage)
    texts: Texts = field(default_factory=Texts)
    tokens: int | None = None
    """Tokens of all examples, padding left out. None where only rows were counted."""
    padded_tokens: int | None = None
    """Tokens of all examples at the official constant length."""
    trained_tokens: int | None = None
    """Tokens that have a label, and so a loss. None where padding has one as well, and how much of
    it there is hangs on which rows share a batch."""
    longest: int | None = None
    """Tokens of the longest example."""
    lengths: tuple[tuple[int, int], ...] = ()
    """Input tokens of an example, padding left out, and how many examples have so many; the
    shortest first."""
    run_tokens: int | None = None
    """Input tokens that go through the model over the whole run, padding included, in the order in
    which the trainer will read the examples. None where that order is not known."""
    sampled: int | None = None
    """Rows that were encoded, drawn at random, where not all were: the tokens, lengths and damage
    of all rows are then estimates, and the longest example is that of the drawn ones."""
    tokens_within: float = 0.0
    """Half of the 95 % interval of ``tokens``, as a share; 0 where all rows were encoded."""
    trained_within: float = 0.0
    """The same of ``trained_tokens``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint of a training run, as its folder says. None where that says nothing."""

    folder: str
    step: int | None = None
    max_steps: int | None = None
    """Steps that the run which wrote it was to make."""
    micro: int | None = None
    processes: int | None = None
    optimizer: bool = True
    """Whether the state of the optimizer is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One training step of a run, as it was traced on a device that computes nothing. Bytes."""

    micro: int
    length: int
    """Tokens of a row; of the answer, where an encoder reads the prompt."""
    source: int = 0
    """Tokens that an encoder reads."""
    accumulation: int
    layers: int
    traced: int
    """Blocks that were traced; those in the middle stand for all that are like them."""
    moments: Mapping[str, Mapping[str, float]]
    """Place of the program (forward and backward through each block, the loss, the optimizer) ->
    what is in use there at the most, by part."""
    between: Mapping[str, float]
    """What is held between the steps, by part."""
    reserved: float
    """Most bytes that the model of torch's allocator took."""
    flops: float
    """Of one optimizer step on one device, as torch's FlopCounterMode counts them."""
    seconds: float
    """Time that tracing took."""
    versions: Mapping[str, str]
    """Of the libraries that were traced."""

    @property
    def peak(self) -> str:
        """The place of the program where the most is in use."""
        return max(self.moments, key=lambda name: sum(self.moments[name].values()))

    @property
    def parts(self) -> Mapping[str, float]:
        """What is in use at the peak."""
        return self.moments[self.peak]

    @property
    def allocated(self) -> float:
        """Most bytes in tensors (torch's max_memory_allocated)."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known of a run beside what its files say."""

    transformers: str
    """The version whose arithmetic the forecast follows."""
    devices: int = 1
    """Data-parallel processes."""
    train: DataFacts | None = None
    validation: DataFacts | None = None
    test: DataFacts | None = None
    trace: Trace | None = None
    """One training step, traced."""
    resumed: Checkpoint | None = None
    """The checkpoint that the run goes on from."""
    earlier: tuple[Checkpoint, ...] = ()
    """Checkpoints that the output folder holds already, by step."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
