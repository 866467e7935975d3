"""What a run uploads to the hub: its last checkpoint, once, when training is done.

The repository is made before anything is loaded, so that no run ends at a login that is not there.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi

from ..errors import UserError, refuse
from ..params.run import Run

ONLY_TO_GO_ON = ("optimizer*", "scheduler*", "scaler*", "rng_state*", "global_step*")
"""Files of a checkpoint that only the run itself needs again."""


def open_repository(run: Run) -> str | None:
    """The hub repository of the run, made where it is not there yet; None where nothing is to be
    uploaded.

    Raises:
        UserError: where the hub cannot be reached, or refuses.
    """
    asked = run.trainer
    if not (asked.push_to_hub and run.launch.train):
        return None
    name = asked.hub_model_id or Path(run.record.output or ".").absolute().name
    try:
        made = _hub(run).create_repo(name, private=asked.hub_private_repo, exist_ok=True)
    except Exception as failure:  # the hub's own errors, or those of its library for the network
        raise _refused(
            run,
            failure,
            f"the hub repository {name} cannot be opened",
            "or leave --push_to_hub out",
        ) from None
    return made.repo_id


def upload(run: Run, repository: str, checkpoint: Path) -> str:
    """Uploads a checkpoint; gives the address at which it is now.

    Raises:
        UserError: where the hub does not take it; the checkpoint stays where it is.
    """
    try:
        return _hub(run).upload_folder(
            repo_id=repository,
            folder_path=checkpoint,
            ignore_patterns=list(ONLY_TO_GO_ON),
            revision=run.trainer.hub_revision,
            commit_message=f"Upload {checkpoint.name}",
        )
    except Exception as failure:  # as above
        raise _refused(
            run,
            failure,
            f"{checkpoint} is saved, but was not uploaded to {repository}",
            f"and upload it with `hf upload {repository} {checkpoint}`",
        ) from None


def _hub(run: Run) -> HfApi:
    return HfApi(token=run.trainer.hub_token)


def _refused(run: Run, failure: Exception, what: str, instead: str) -> UserError:
    said = " ".join(str(failure).split()) or "no reason given"
    return refuse(
        what=what,
        where=str(run.origin("trainer.push_to_hub")),
        why=f"{type(failure).__name__}: {said}",
        fix=f"log in with `hf auth login`, see that the hub can be reached, {instead}",
    )
