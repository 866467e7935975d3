"""Reading shell scripts without running them."""

from __future__ import annotations

import shutil
import string
import subprocess

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from foretune.errors import UserError
from foretune.formats.shell import Command, read_shell


def commands(text: str) -> list[list[str]]:
    script = read_shell(text, "train.sh")
    return [[word.text for word in command.words] for command in script.commands]


def only(text: str) -> Command:
    (command,) = read_shell(text, "train.sh").commands
    return command


def words(text: str) -> list[str]:
    return [word.text for word in only(text).words]


def notes(text: str) -> list[str]:
    return [note.what for note in read_shell(text, "train.sh").notes]


def test_variables_are_filled_in_and_pasted_as_text():
    text = "LR=2e-2\nexport N=128\nrun out-$N-$LR ${N}x \"$LR\" '$LR'"
    assert words(text) == ["run", "out-128-2e-2", "128x", "2e-2", "$LR"]


def test_a_word_keeps_its_line_and_how_it_was_written():
    command = only("LR=1\n\n# a comment\nrun \\\n  --rate $LR \\\n  # not a comment of its own")
    assert [(word.raw, word.line) for word in command.words] == [
        ("run", 4),
        ("--rate", 5),
        ("$LR", 5),
    ]


def test_an_unquoted_variable_is_cut_at_blanks_and_a_quoted_one_is_not():
    assert words("A=' --x  1 '\nrun $A \"$A\" -$A-") == [
        "run", "--x", "1", " --x  1 ", "-", "--x", "1", "-",
    ]  # fmt: skip


def test_defaults_stand_in_for_what_is_not_set():
    assert words("E=\nrun ${A:-4} ${A-5} ${E:-6} ${E-7}x ${A:=8} $A ${A:+9} ${1:-10}") == [
        "run", "4", "5", "6", "x", "8", "8", "9", "10",
    ]  # fmt: skip


def test_what_nothing_sets_is_nothing_and_is_named():
    command = only('run --rate $LR "$LR" x$LR')
    assert [(word.text, word.unset, word.vanished) for word in command.words[2:]] == [
        ("", ("LR",), True),
        ("", ("LR",), False),
        ("x", ("LR",), False),
    ]


@pytest.mark.parametrize(
    "written", ["$(shuf -n 1 -i 1-9)", "`date`", "$1", "$RANDOM", "${A%.*}", "$((2*3))"]
)
def test_what_only_a_running_shell_knows_is_kept_and_marked(written: str):
    command = only(f"V={written}\nrun {written} $V")
    assert [(word.text, word.running) for word in command.words[1:]] == [(written, (written,))] * 2


@pytest.mark.parametrize(
    "decided",
    [
        "if [ -z $X ]; then\n  LR=1\nfi",
        "for LR in 1 2; do echo $LR; done",
        "while read LR; do\n  true\ndone < list.txt",
        "case $1 in\n  a) LR=1 ;;\n  b) LR=2 ;;\nesac",
        "[ -z $X ] && LR=1",
        "f() {\n  LR=1\n}",
        "function f\n{\n  LR=1\n}",
    ],
)
def test_what_a_condition_or_a_loop_sets_is_not_known(decided: str):
    command = read_shell(f"LR=0\n{decided}\nrun $LR", "train.sh").commands[-1]
    assert command.words[1].text == "$LR" and command.words[1].running
    assert command.block == ""


def test_a_command_inside_a_block_says_so():
    text = "\nfor SEED in 1 2 3\ndo\n  python main.py\ndone"
    assert only(text).block == "the for of line 2"
    assert read_shell("{ python main.py; } > log", "train.sh").commands[0].block == ""


def test_exported_variables_and_those_in_front_reach_the_program_and_others_do_not():
    command = only("export A=1 B=2\nC=3\nD=4\nexport D\nunset B\nE=5 run $C $E")
    assert {name: word.text for name, word in command.environment.items()} == {
        "A": "1", "D": "4", "E": "5",
    }  # fmt: skip
    assert [word.text for word in command.words[:2]] == ["run", "3"]
    assert command.words[2].unset == ("E",)
    assert set(command.kept_back) == {"C"}


def test_redirections_pipes_and_lists_are_no_words_of_the_command():
    text = "cd x && nohup run --a 1 > log.txt 2>&1 < in &\nrun 2 |& tee -a log; echo done &>> all"
    assert commands(text) == [
        ["cd", "x"],
        ["nohup", "run", "--a", "1"],
        ["run", "2"],
        ["tee", "-a", "log"],
        ["echo", "done"],
    ]


def test_arrays_and_eval_are_followed():
    text = 'ARGS=(\n  --a "1 2"  # a comment\n  --b\n)\nARGS+=(--c)\nrun "${ARGS[@]}" $ARGS'
    assert words(text) == ["run", "--a", "1 2", "--b", "--c", "--a"]
    assert words('CMD="run --a $((1))"\nCMD+=" --b"\neval ${CMD}') == [
        "run",
        "--a",
        "$((1))",
        "--b",
    ]


def test_text_is_appended_to_a_variable():
    assert words("A=1\nA+=2\nrun $A") == ["run", "12"]


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_windows_line_ends_and_a_byte_order_mark_do_not_hurt(ending: str):
    text = "\ufeffA=1\nrun \\\n  $A"
    assert words(text.replace("\n", ending)) == ["run", "1"]


def test_a_flattened_script_is_read_as_it_was():
    text = r"N=128 LR=2e-2 G=0 run \ --a $N \ --b x-$LR \ --c"
    command = only(text)
    assert [word.text for word in command.words] == ["run", "--a", "128", "--b", "x-2e-2", "--c"]
    assert list(command.environment) == ["G"]
    assert notes(text) == [
        "3 line ends flattened to a backslash and a blank read as line ends again",
        "N, LR in front of the command read as 2 lines above it",
    ]


def test_a_flattened_export_is_a_line_of_its_own():
    command = only(r"export CUDA=0,1 X=2 accelerate launch \ --a $X")
    assert [word.text for word in command.words] == ["accelerate", "launch", "--a", "2"]
    assert set(command.environment) == {"CUDA", "X"}


def test_an_assignment_in_front_of_an_ordinary_command_is_not_seen_by_its_words():
    assert only("LR=1 run $LR").words[1].unset == ("LR",)


TRAILING = "1 line end with a blank behind the backslash, none for a shell, read as one"
LAST = "1 backslash at the end of the file, with nothing to go on with, left out"
DASH = "1 flag with a long dash, as word processors write it, read with hyphens"
BLANK = "1 blank of a kind that a shell takes for a letter read as a blank or left out"
QUOTE = "1 curly quote read as straight ones"
FLATTENED = "1 line end flattened to a backslash and a blank read as line ends again"


@pytest.mark.parametrize(
    ("pasted", "note"),
    [
        ("run \\ \n --a 1", TRAILING),
        ("run --a\\\t\n 1", TRAILING),
        ("run --a 1 \\", LAST),
        ("run \u2013\u2013a 1", DASH),
        ("run -\u2014a 1", DASH),
        ("run\u3000--a 1", BLANK),
        ("run --a\u00a01", BLANK),
        ("run \u200b--a 1", BLANK),
        ("run --a \u201c1\u201d", QUOTE),
        ("run --a \u20181\u2019", QUOTE),
        ("run\\ --a 1", FLATTENED),
    ],
)
def test_what_a_web_page_does_is_mended_and_noted(pasted: str, note: str):
    assert [word.replace("--a", "-a") for word in words(pasted)] == ["run", "-a", "1"]
    assert notes(pasted) == [note]


@pytest.mark.parametrize("dash", ["–", "—", "−", "－－", "-–"])
def test_a_long_dash_in_front_of_a_name_is_two_hyphens(dash: str):
    assert words(f"run {dash}do_train a–b") == ["run", "--do_train", "a–b"]


def test_chinese_text_in_quotes_is_left_as_it_is():
    text = "run --prefix '他说“你好”　——' \"“a”\" don’t"
    assert words(text) == ["run", "--prefix", "他说“你好”　——", "“a”", "don’t"]
    assert notes(text) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("run 'a\nb", "' is opened and never closed"),
        ('A=1\nrun "a', '" is opened and never closed'),
        ("run $(a", "$( is opened and never closed"),
        ("run ${a", "${ is opened and never closed"),
        ("cat <<EOF\nx\nEOF", "<< begins a here-document"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_line(text: str, what: str):
    with pytest.raises(UserError) as refused:
        read_shell(text, "train.sh")
    (problem,) = refused.value.problems
    assert problem.what == what
    assert (
        problem.where
        == f"train.sh:{text[: text.index('run')].count(chr(10)) + 1 if 'run' in text else 1}"
    )


def test_a_here_string_is_a_redirection():
    assert words("run --a <<< text") == ["run", "--a"]


LETTERS = [*string.ascii_letters[:6], *" \t'\"\\#=-/.,:~%+@!", "“", "你", "\\\n"]
PIECES = st.sampled_from([*LETTERS, "$A", "${A}", "${B:-x y}", "$EMPTY"])
BASH = shutil.which("bash")


@pytest.mark.skipif(BASH is None, reason="bash is the judge here")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=14).map("".join))
@example("a\\ b 'c d'\"e'f\"g")
@example('"\\a\\$\\"\\\\" \\a')
@example("$A\"$A\"'$A' x${A}y")
@example("a#b #c")
@example('"" \'\' $EMPTY "$EMPTY"')
def test_words_are_those_that_bash_makes(text: str):
    if "“" in text or "~" in text or "\\ " in text or "\\\t" in text or text.endswith("\\"):
        return  # mended, or depends on who runs it
    if "A\\\n" in text or "Y\\\n" in text:
        return  # a line end inside of a name is not followed
    setting = "A='1  2'; B=; EMPTY=; "
    program = f"{setting}printf '%s\\0' run {text}"
    done = subprocess.run([BASH or "", "-c", program], capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        return  # no program for bash either
    try:
        read = read_shell(f"{setting}run {text}", "x.sh").commands
    except UserError as error:
        pytest.fail(f"bash reads it: {error}")
    words = [word for word in read[0].words if not word.vanished]
    if any(word.running for word in words):
        return
    assert [word.text for word in words] == done.stdout.split("\0")[:-1]
