"""The names of LLaMA-Factory that no concept of ours stands behind, and why.

Read in hiyouga/LLaMA-Factory, src/llamafactory/hparams, early 2026.
"""

from __future__ import annotations

PREFERENCES = "it belongs to training by preferences or rewards, and supervised tuning ignores it"
OPTIMIZER = "it belongs to an optimizer that is not here"
PICTURES = "it is about pictures, films or sound; here texts are tuned"
ENGINE = "it is about serving with another engine, and training ignores it"
EXPORT = "it is about exporting; `foretune export` has options of its own"
TRACKER = "it is about the tracker SwanLab; record.report_to names trackers"
RAY = "it is about starting processes with Ray"
FREEZE = "it belongs to finetuning_type freeze, which is not here"
OFT = "it belongs to finetuning_type oft, which is not here"
KERNEL = "it swaps kernels for faster ones and changes no result but by rounding"
STREAM = "rows are read whole here, not as a stream"
TOKENS = "tokens cannot be added to a vocabulary here"
MEGATRON = "it belongs to training with Megatron"

UNREAD: dict[str, str] = {
    "template": "a family's own format, or its tokenizer's chat template, is used: compare a "
    "sample (`foretune data show`)",
    "tool_format": "the tokenizer's chat template decides how tools are written",
    "val_size": "rows are not set aside by themselves: put some into a file of their own and name "
    "it as data.validation",
    "packing": "every row is an example of its own: there are more examples, of different lengths, "
    "than LLaMA-Factory packs",
    "neat_packing": "every row is an example of its own",
    "train_on_prompt": "prompts carry no loss here",
    "media_dir": PICTURES,
    "streaming": STREAM,
    "buffer_size": STREAM,
    "mix_strategy": "one file of rows is trained on",
    "interleave_probs": "one file of rows is trained on",
    "preprocessing_batch_size": "it changes how rows are handed out to processes, and no row",
    "overwrite_cache": "no cache of encoded rows is kept: they are encoded anew for every run",
    "tokenized_path": "encoded rows are not kept on disk",
    "eval_on_each_dataset": "one file of rows is evaluated on",
    "trust_remote_code": "code that comes with a model is not run; the families are built in",
    "use_fast_tokenizer": "transformers 5 has one kind of tokenizer for each model",
    "resize_vocab": TOKENS,
    "add_tokens": TOKENS,
    "add_special_tokens": TOKENS,
    "new_special_tokens_config": TOKENS,
    "init_special_tokens": TOKENS,
    "split_special_tokens": "what users write is always read as text (data.reading)",
    "adapter_folder": "name the folder of the adapter itself",
    "low_cpu_mem_usage": "weights are always read without a second copy",
    "rope_scaling": "write it into the model's config.json",
    "shift_attn": "it changes attention while training (LongLoRA), which is not here",
    "mixture_of_depths": "it rebuilds the model",
    "use_unsloth": KERNEL,
    "use_unsloth_gc": KERNEL,
    "enable_liger_kernel": KERNEL,
    "use_v1_kernels": KERNEL,
    "moe_aux_loss_coef": "it is about mixtures of experts; write it into the model's config.json",
    "upcast_layernorm": "norms compute in float32 wherever the family's code does",
    "upcast_lmhead_output": "the loss is computed in float32 in any case",
    "infer_backend": ENGINE,
    "infer_dtype": "precision.full_eval decides it",
    "offload_folder": "weights are not moved to disk",
    "use_kv_cache": "the cache is used wherever answers are generated",
    "hf_hub_token": "set HF_TOKEN; a token in a file ends up in version control",
    "ms_hub_token": "models are taken from folders and from the hub of Hugging Face",
    "om_hub_token": "models are taken from folders and from the hub of Hugging Face",
    "print_param_status": "`foretune plan` counts every parameter",
    "quantization_method": "weights are packed as precision.quantize says",
    "quantization_type": "weights are packed as precision.quantize says",
    "double_quantization": "weights are packed as precision.quantize says",
    "quantization_device_map": "weights are packed as precision.quantize says",
    "fp8": "there is no training in eight bits here; in LLaMA-Factory it must stand among the "
    "training arguments to do anything",
    "fp8_backend": "there is no training in eight bits here",
    "fp8_enable_fsdp_float8_all_gather": "there is no training in eight bits here",
    **dict.fromkeys(
        (
            "image_max_pixels", "image_min_pixels", "image_do_pan_and_scan", "crop_to_patches",
            "video_max_pixels", "video_min_pixels", "video_fps", "video_maxlen",
            "use_audio_in_video", "audio_sampling_rate", "freeze_vision_tower",
            "freeze_multi_modal_projector", "freeze_language_model",
        ),
        PICTURES,
    ),
    **dict.fromkeys(
        (
            "export_dir", "export_size", "export_device", "export_quantization_bit",
            "export_quantization_dataset", "export_quantization_nsamples",
            "export_quantization_maxlen", "export_legacy_format", "export_hub_model_id",
        ),
        EXPORT,
    ),
    **dict.fromkeys(
        (
            "vllm_maxlen", "vllm_gpu_util", "vllm_enforce_eager", "vllm_max_lora_rank",
            "vllm_config", "sglang_maxlen", "sglang_mem_fraction", "sglang_tp_size",
            "sglang_config", "sglang_lora_backend", "use_kt", "kt_optimize_rule", "cpu_infer",
            "chunk_size", "mode", "kt_maxlen", "kt_use_cuda_graph", "kt_mode", "kt_force_think",
        ),
        ENGINE,
    ),
    **dict.fromkeys(
        ("freeze_trainable_layers", "freeze_trainable_modules", "freeze_extra_modules"), FREEZE
    ),
    **dict.fromkeys(("module_dropout", "oft_rank", "oft_block_size", "oft_target"), OFT),
    "loraplus_lr_ratio": "both matrices of LoRA learn at one rate here",
    "loraplus_lr_embedding": "both matrices of LoRA learn at one rate here",
    "pissa_iter": "it is read together with pissa_init",
    "pissa_convert": "PEFT converts an adapter when it is saved; nothing here asks it to",
    "create_new_adapter": "a new adapter on top of an old one: merge the old one first "
    "(foretune export)",
    **dict.fromkeys(
        (
            "pref_beta", "pref_ftx", "pref_bco_weight", "pref_loss", "dpo_label_smoothing",
            "kto_chosen_weight", "kto_rejected_weight", "simpo_gamma", "ppo_buffer_size",
            "ppo_epochs", "ppo_score_norm", "ppo_target", "ppo_whiten_rewards", "ref_model",
            "ref_model_adapters", "ref_model_quantization_bit", "reward_model",
            "reward_model_adapters", "reward_model_quantization_bit", "reward_model_type",
            "ld_alpha",
        ),
        PREFERENCES,
    ),
    **dict.fromkeys(
        (
            "use_galore", "galore_target", "galore_rank", "galore_update_interval",
            "galore_scale", "galore_proj_type", "galore_layerwise", "use_apollo",
            "apollo_target", "apollo_rank", "apollo_update_interval", "apollo_scale",
            "apollo_proj", "apollo_proj_type", "apollo_scale_type", "apollo_layerwise",
            "apollo_scale_front", "use_badam", "badam_mode", "badam_start_block",
            "badam_switch_mode", "badam_switch_interval", "badam_update_ratio",
            "badam_mask_mode", "badam_verbose", "use_adam_mini", "use_muon",
        ),
        OPTIMIZER,
    ),
    **dict.fromkeys(
        (
            "use_swanlab", "swanlab_project", "swanlab_workspace", "swanlab_run_name",
            "swanlab_mode", "swanlab_api_key", "swanlab_logdir", "swanlab_lark_webhook_url",
            "swanlab_lark_secret",
        ),
        TRACKER,
    ),
    "use_llama_pro": "it adds blocks to the model and trains them alone",
    "use_mca": MEGATRON,
    "use_dft_loss": "the loss is the usual cross-entropy",
    "compute_accuracy": "metrics are those of generated answers, and the loss",
    "early_stopping_steps": "training does not stop by itself; keep the best with "
    "record.load_best",
    "plot_loss": "the report of a run holds its losses",
    "include_effective_tokens_per_second": "the report of a run says how fast it was",
    "max_new_tokens": "generate.max_length counts prompt and answer together",
    "max_length": "generate.max_length is set by the lengths of the data",
    "repetition_penalty": "write it into the model's generation_config.json",
    "length_penalty": "write it into the model's generation_config.json",
    "skip_special_tokens": "answers are decoded as the family's code does",
    "system_message": "a system message stands in the rows, as the first of their messages",
    **dict.fromkeys(
        (
            "ray_run_name", "ray_storage_path", "ray_storage_filesystem", "ray_num_workers",
            "resources_per_worker", "placement_strategy", "ray_init_kwargs",
        ),
        RAY,
    ),
}  # fmt: skip
"""Name -> why it has no counterpart, or what stands in its place."""
