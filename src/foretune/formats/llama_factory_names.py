"""The names of LLaMA-Factory that no concept of ours stands behind, and why.

Read in hiyouga/LLaMA-Factory, src/llamafactory/hparams, early 2026.
"""

from __future__ import annotations

from ..text import Said

PREFERENCES = Said(
    "it belongs to training by preferences or rewards, and supervised tuning ignores it",
    "它属于偏好或奖励训练，监督微调不读取它",
)
OPTIMIZER = Said("it belongs to an optimizer that is not here", "它属于这里没有的优化器")
PICTURES = Said(
    "it is about pictures, films or sound; here texts are tuned",
    "它与图像、视频或声音有关；这里只微调文本",
)
ENGINE = Said(
    "it is about serving with another engine, and training ignores it",
    "它与用其他引擎部署有关，训练不读取它",
)
EXPORT = Said(
    "it is about exporting; `foretune export` has options of its own",
    "它与导出有关；`foretune export` 有自己的选项",
)
TRACKER = Said(
    "it is about the tracker SwanLab; record.report_to names trackers",
    "它与 SwanLab 有关；record.report_to 指定记录工具",
)
RAY = Said("it is about starting processes with Ray", "它与用 Ray 启动进程有关")
OFT = Said(
    "it belongs to finetuning_type oft, which is not here", "它属于 finetuning_type oft，这里没有"
)
KERNEL = Said(
    "it swaps kernels for faster ones and changes no result but by rounding",
    "它换用更快的算子，结果只差舍入",
)
STREAM = Said("rows are read whole here, not as a stream", "这里整体读取数据，而不是流式读取")
TOKENS = Said("tokens cannot be added to a vocabulary here", "这里不能往词表里加词元")
MEGATRON = Said("it belongs to training with Megatron", "它属于 Megatron 训练")
ONE_FILE = Said("one file of rows is trained on", "训练只用一个数据文件")
HUBS = Said(
    "models are taken from folders and from the hub of Hugging Face",
    "模型取自文件夹或 Hugging Face 的 hub",
)
PACKED = Said("weights are packed as precision.quantize says", "权重按 precision.quantize 压缩")
NO_FP8 = Said("there is no training in eight bits here", "这里没有 8 位训练")
ONE_RATE = Said(
    "both matrices of LoRA learn at one rate here", "这里 LoRA 的两个矩阵用同一个学习率"
)
GENERATION = Said(
    "write it into the model's generation_config.json", "请写进模型的 generation_config.json"
)

UNREAD: dict[str, Said] = {
    "template": Said(
        "a family's own format, or its tokenizer's chat template, is used: compare a sample "
        "(`foretune data show`)",
        "使用模型族自己的格式，或分词器的对话模板：请对照一条样本（`foretune data show`）",
    ),
    "tool_format": Said(
        "the tokenizer's chat template decides how tools are written",
        "工具的写法由分词器的对话模板决定",
    ),
    "val_size": Said(
        "rows are not set aside by themselves: put some into a file of their own and name it as "
        "data.validation",
        "不会自动留出数据：请把一部分放进单独的文件，并写为 data.validation",
    ),
    "packing": Said(
        "every row is an example of its own: there are more examples, of different lengths, than "
        "LLaMA-Factory packs",
        "每行各是一个样本：样本比 LLaMA-Factory 打包后的多，长短不一",
    ),
    "neat_packing": Said("every row is an example of its own", "每行各是一个样本"),
    "train_on_prompt": Said("prompts carry no loss here", "这里提示部分不计算损失"),
    "media_dir": PICTURES,
    "streaming": STREAM,
    "buffer_size": STREAM,
    "mix_strategy": ONE_FILE,
    "interleave_probs": ONE_FILE,
    "preprocessing_batch_size": Said(
        "it changes how rows are handed out to processes, and no row",
        "它只改变数据如何分给各进程，不改变数据",
    ),
    "overwrite_cache": Said(
        "no cache of encoded rows is kept: they are encoded anew for every run",
        "不保存已编码数据的缓存：每次运行都重新编码",
    ),
    "tokenized_path": Said("encoded rows are not kept on disk", "编码后的数据不存盘"),
    "eval_on_each_dataset": Said("one file of rows is evaluated on", "评估只用一个数据文件"),
    "trust_remote_code": Said(
        "code that comes with a model is not run; the families are built in",
        "不执行模型附带的代码；各模型族是内置的",
    ),
    "use_fast_tokenizer": Said(
        "transformers 5 has one kind of tokenizer for each model",
        "transformers 5 中每个模型只有一种分词器",
    ),
    "resize_vocab": TOKENS,
    "add_tokens": TOKENS,
    "add_special_tokens": TOKENS,
    "new_special_tokens_config": TOKENS,
    "init_special_tokens": TOKENS,
    "split_special_tokens": Said(
        "what users write is always read as text (data.reading)",
        "用户写的内容总是按文字读取（data.reading）",
    ),
    "adapter_folder": Said("name the folder of the adapter itself", "请写适配器自己的文件夹"),
    "low_cpu_mem_usage": Said(
        "weights are always read without a second copy", "读取权重时从不多占一份内存"
    ),
    "rope_scaling": Said("write it into the model's config.json", "请写进模型的 config.json"),
    "shift_attn": Said(
        "it changes attention while training (LongLoRA), which is not here",
        "它在训练中改变注意力（LongLoRA），这里没有",
    ),
    "mixture_of_depths": Said("it rebuilds the model", "它会改造模型"),
    "use_unsloth": KERNEL,
    "use_unsloth_gc": KERNEL,
    "enable_liger_kernel": KERNEL,
    "use_v1_kernels": KERNEL,
    "moe_aux_loss_coef": Said(
        "it is about mixtures of experts; write it into the model's config.json",
        "它与混合专家有关；请写进模型的 config.json",
    ),
    "upcast_layernorm": Said(
        "norms compute in float32 wherever the family's code does",
        "模型族的代码在哪里用 float32 计算归一化，这里也一样",
    ),
    "upcast_lmhead_output": Said(
        "the loss is computed in float32 in any case", "损失总是以 float32 计算"
    ),
    "infer_backend": ENGINE,
    "infer_dtype": Said("precision.full_eval decides it", "由 precision.full_eval 决定"),
    "offload_folder": Said("weights are not moved to disk", "权重不会移到磁盘上"),
    "use_kv_cache": Said(
        "the cache is used wherever answers are generated", "生成回答时总是使用缓存"
    ),
    "hf_hub_token": Said(
        "set HF_TOKEN; a token in a file ends up in version control",
        "请设置环境变量 HF_TOKEN；写在文件里的令牌会进入版本库",
    ),
    "ms_hub_token": HUBS,
    "om_hub_token": HUBS,
    "print_param_status": Said(
        "`foretune plan` counts every parameter", "`foretune plan` 会统计每个参数"
    ),
    "quantization_method": PACKED,
    "quantization_type": PACKED,
    "double_quantization": PACKED,
    "quantization_device_map": PACKED,
    "fp8": Said(
        "there is no training in eight bits here; in LLaMA-Factory it must stand among the "
        "training arguments to do anything",
        "这里没有 8 位训练；在 LLaMA-Factory 中，它要写在训练参数里才起作用",
    ),
    "fp8_backend": NO_FP8,
    "fp8_enable_fsdp_float8_all_gather": NO_FP8,
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
    **dict.fromkeys(("module_dropout", "oft_rank", "oft_block_size", "oft_target"), OFT),
    "loraplus_lr_ratio": ONE_RATE,
    "loraplus_lr_embedding": ONE_RATE,
    "pissa_iter": Said("it is read together with pissa_init", "它与 pissa_init 一起读取"),
    "pissa_convert": Said(
        "PEFT converts an adapter when it is saved; nothing here asks it to",
        "PEFT 在保存时转换适配器；这里没有要求它转换",
    ),
    "create_new_adapter": Said(
        "a new adapter on top of an old one: merge the old one first (foretune export)",
        "它在旧适配器之上新建一个：请先合并旧的（foretune export）",
    ),
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
    "use_llama_pro": Said(
        "it adds blocks to the model and trains them alone", "它给模型加上新的块，只训练这些块"
    ),
    "use_mca": MEGATRON,
    "use_dft_loss": Said("the loss is the usual cross-entropy", "损失是通常的交叉熵"),
    "compute_accuracy": Said(
        "metrics are those of generated answers, and the loss",
        "指标是损失，以及由生成的回答算出的得分",
    ),
    "early_stopping_steps": Said(
        "training does not stop by itself; keep the best with record.load_best",
        "训练不会自动停止；用 record.load_best 保留最好的",
    ),
    "plot_loss": Said("the report of a run holds its losses", "训练报告里有损失"),
    "include_effective_tokens_per_second": Said(
        "the report of a run says how fast it was", "训练报告里有速度"
    ),
    "max_new_tokens": Said(
        "generate.max_length counts prompt and answer together",
        "generate.max_length 把提示与回答合在一起计算",
    ),
    "max_length": Said(
        "generate.max_length is set by the lengths of the data",
        "generate.max_length 由数据的长度上限决定",
    ),
    "repetition_penalty": GENERATION,
    "length_penalty": GENERATION,
    "skip_special_tokens": Said(
        "answers are decoded as the family's code does", "回答的解码方式与模型族的代码相同"
    ),
    "system_message": Said(
        "a system message stands in the rows, as the first of their messages",
        "系统消息写在数据里，作为第一条消息",
    ),
    **dict.fromkeys(
        (
            "ray_run_name", "ray_storage_path", "ray_storage_filesystem", "ray_num_workers",
            "resources_per_worker", "placement_strategy", "ray_init_kwargs",
        ),
        RAY,
    ),
}  # fmt: skip
"""Name -> why it has no counterpart, or what stands in its place."""
