"""Completion for shells: verbs, their options, the parameters by their paths, and the flags that
scripts know; made from the declarations, so that it is never behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import refuse
from ..formats.spellings import spellings
from ..formats.writing import DOCUMENTS, FORMS
from ..params.run import parameters
from ..text import sentence_list
from .entry import config_keys

CHOICES = {
    "lang": ("zh", "en"),
    "format": ("text", "json", "md", "html", "sarif", "github"),
    "to": (*FORMS, *DOCUMENTS),
}

BASH = """\
# foretune: completion for bash. Put into ~/.bashrc:  source <(foretune completion bash)
_foretune() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "{verbs}" -- "$current")); return
    fi
    case "$before" in
{choices}
        --set) COMPREPLY=($(compgen -S = -W "{paths}" -- "$current")); compopt -o nospace; return ;;
    esac
    case "${{COMP_WORDS[1]}}" in
{options}
    esac
    if [[ "$current" == -* ]]; then
        COMPREPLY=($(compgen -W "--set $words {flags}" -- "$current"))
    elif [[ "${{COMP_WORDS[1]}}" == explain ]]; then
        COMPREPLY=($(compgen -f -- "$current") $(compgen -W "{names}" -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _foretune foretune
"""

ZSH = """\
#compdef foretune
# foretune: completion for zsh. Put into ~/.zshrc:  source <(foretune completion zsh)
autoload -Uz bashcompinit && bashcompinit
{bash}"""


def completion(shell: str, verbs: Mapping[str, Iterable[str]]) -> str:
    """The script for a shell.

    Args:
        shell: bash or zsh.
        verbs: every verb with its own options.
    """
    if shell not in ("bash", "zsh"):
        raise refuse(
            what=f"there is no completion for {shell!r}",
            where="command line",
            why=f"it is made for {sentence_list(['bash', 'zsh'])}",
            fix="write foretune completion bash",
        )
    others = {name for names in spellings().values() for name in names}
    paths = list(parameters())
    script = BASH.format(
        verbs=" ".join(verbs),
        paths=" ".join(paths),
        flags=" ".join(f"--{name}" for name in sorted({*others, *paths})),
        names=" ".join(sorted({*paths, *others, *config_keys()})),
        choices="\n".join(
            f'        --{option}) COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$current")); '
            "return ;;"
            for option, words in CHOICES.items()
        ),
        options="\n".join(
            f'        {verb}) words="{" ".join(f"--{option}" for option in options)}" ;;'
            for verb, options in verbs.items()
        ),
    )
    return script if shell == "bash" else ZSH.format(bash=script)
