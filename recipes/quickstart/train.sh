# P-Tuning v2 of the quickstart's base, in the form of the authors' train.sh; it predicts, too.
# From the root of the repository: foretune train recipes/quickstart/train.sh
PRE_SEQ_LEN=32
LR=2e-2

python3 main.py \
    --do_train \
    --do_predict \
    --train_file recipes/quickstart/train.json \
    --test_file recipes/quickstart/dev.json \
    --prompt_column content \
    --response_column summary \
    --overwrite_cache \
    --model_name_or_path output/quickstart/base \
    --output_dir output/quickstart/pt-$PRE_SEQ_LEN-$LR \
    --overwrite_output_dir \
    --max_source_length 64 \
    --max_target_length 96 \
    --per_device_train_batch_size 8 \
    --per_device_eval_batch_size 16 \
    --gradient_accumulation_steps 1 \
    --predict_with_generate \
    --max_predict_samples 64 \
    --max_steps 600 \
    --logging_steps 20 \
    --save_steps 300 \
    --learning_rate $LR \
    --pre_seq_len $PRE_SEQ_LEN
