#!/usr/bin/env bash
# The quickstart: a base, its score, P-Tuning v2, its score again. `make run` calls it.
set -euo pipefail
cd "$(dirname "$0")/../.."
# A model this small gains little from a second thread, and loses much where cores are shared.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
BASE=output/quickstart/base
BEFORE=output/quickstart/before
AFTER=output/quickstart/pt-32-2e-2

echo "== 1. a base: ChatGLM2's architecture and layout, small, made from recipes/quickstart/text.txt"
python recipes/quickstart/make_base.py "$BASE"

echo
echo "== 2. what the base writes before it is tuned"
foretune evaluate --model_name_or_path "$BASE" --output_dir "$BEFORE" --overwrite_output_dir \
    --do_predict --predict_with_generate --test_file recipes/quickstart/dev.json \
    --prompt_column content --response_column summary --max_predict_samples 64 \
    --max_source_length 64 --max_target_length 96 --per_device_eval_batch_size 16 \
    --generate.do_sample --generate.top_p 0.7 --generate.temperature 0.95

echo
echo "== 3. P-Tuning v2 by an official-style script, and what it writes then"
foretune train recipes/quickstart/train.sh

echo
python recipes/quickstart/scores.py "$BEFORE" "$AFTER"
cat <<END

The report of the run: $AFTER/report.html
All of it took $SECONDS seconds. Three commands to try next (\`make\` has put foretune into .venv/bin):

  .venv/bin/foretune explain pre_seq_len recipes/quickstart/train.sh     # one value, and what it does here
  .venv/bin/foretune plan recipes/quickstart/train.sh --pre_seq_len 64   # another run, before it runs
  .venv/bin/foretune evaluate recipes/quickstart/evaluate.sh             # all held-out rows
END
