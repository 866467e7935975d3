"""What `foretune --help` prints."""

from __future__ import annotations

USAGE = """\
foretune: know the fine-tuning run before you run it; then run it.

  foretune explain FILE... | KEY...     what every value means, where it was set, what it does here
                                        (--lang zh|en, --all, --format text|md|json|html)
  foretune check FILE...                what is wrong, why, and how to mend it; 1 where a run fails
                                        (--device "RTX 4090" [--gpus N], --tokens, --fix,
                                        --format text|json|sarif|github, --lang zh|en)
  foretune diff A B                     what differs, what follows, what is only spelling (exit code
                                        1: they differ); of several files each: A... -- B...
  foretune plan FILE...                 rows, tokens, steps, memory, operations, time, disk, cost;
                                        with --device NAME|FILE 1: it does not fit, 2: it may not
                                        (--gpus N|8xH100, --price P, --tokens, --sample ROWS,
                                        --trace, --transformers VERSION, --lang zh|en,
                                        --format text|json|md|html)
  foretune plan FILE... --fit --gpus G  the settings that fit 1x4090, 8xH100, 2x8xA100 best
                                        (--goal time|cost|memory, --keep method,quant,...,
                                        --free-batch, --price P, --network GBIT,
                                        --write DIR [--force])
  foretune plan CONFIG --trainable N    which settings have exactly N trainable parameters
  foretune train FILE...                forecast, train, evaluate, report
  foretune evaluate FILE...             the same run, without training
  foretune calibrate                    measures this machine's CPU, for --device cpu and use_cpu
  foretune calibrate FILE...            times a few steps of a run here (--steps N), or takes what
                                        was measured: --seconds S (of a step) or --tokens_per_second
                                        N (of all devices), --peak_gib G, with --device NAME
                                        [--gpus N]; --report out/report.json; --list
  foretune convert FILE...              any of these as one run file (YAML), origins as comments;
                                        --to FORM as main.py or fine-tune.py (a script that starts
                                        it), flags, arguments.json, arguments.yaml, ds_config.json,
                                        accelerate.yaml, adapter_config.json, llama-factory.yaml,
                                        config.json, params.json, generation_config.json or
                                        tokenizer_config.json, saying what that form cannot hold
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
