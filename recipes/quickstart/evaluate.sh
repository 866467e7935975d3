# Predicts all held-out rows with the prefix that train.sh made, in the form of the authors'
# evaluate.sh. From the root of the repository: foretune evaluate recipes/quickstart/evaluate.sh
PRE_SEQ_LEN=32
CHECKPOINT=pt-32-2e-2
STEP=600

python3 main.py \
    --do_predict \
    --test_file recipes/quickstart/dev.json \
    --prompt_column content \
    --response_column summary \
    --overwrite_cache \
    --model_name_or_path output/quickstart/base \
    --ptuning_checkpoint output/quickstart/$CHECKPOINT/checkpoint-$STEP \
    --output_dir output/quickstart/$CHECKPOINT-evaluated \
    --overwrite_output_dir \
    --max_source_length 64 \
    --max_target_length 96 \
    --per_device_eval_batch_size 16 \
    --predict_with_generate \
    --pre_seq_len $PRE_SEQ_LEN
