"""Pipelines of each family with tiny random weights, written as people's weights lie on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import tokenizers
import torch
import transformers
from diffusers.pipelines import ltx2 as pipelines_ltx2

WORDS = ["a", "fox", "red", "blue", "sea", "walk", "by", "the"]
SEED = 7


def clip_tokenizer() -> Any:
    special = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {
        word: number for number, word in enumerate([*special, *(f"{w}</w>" for w in WORDS)])
    }
    letters = sorted({letter for word in WORDS for letter in word})
    for piece in [*letters, *(f"{letter}</w>" for letter in letters)]:
        vocabulary.setdefault(piece, len(vocabulary))
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16)


def word_tokenizer() -> Any:
    vocabulary = {word: n for n, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def clip_encoder(width: int = 32, projection: int = 32, kind: str = "CLIPTextModel") -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=64,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        projection_dim=projection,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return getattr(transformers, kind)(config)


def t5_encoder(kind: str = "T5EncoderModel") -> Any:
    config_kind = transformers.UMT5Config if "UMT5" in kind else transformers.T5Config
    config = config_kind(
        vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, pad_token_id=0
    )
    return getattr(transformers, kind)(config)


def vae(channels: int = 4, **changes: Any) -> Any:
    settings = {
        "block_out_channels": [32, 64],
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
        "latent_channels": channels,
        "norm_num_groups": 32,
    }
    return diffusers.AutoencoderKL(**settings | changes)


def stable_diffusion() -> Any:
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
    )
    scheduler = diffusers.PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    )
    return diffusers.StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    )
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=clip_encoder(),
        text_encoder_2=clip_encoder(kind="CLIPTextModelWithProjection"),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet,
        scheduler=scheduler,
    )


def flux() -> Any:
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=clip_encoder(),
        text_encoder_2=t5_encoder(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=word_tokenizer(),
        transformer=transformer,
        vae=vae(4, shift_factor=0.0609, scaling_factor=1.5035),
    )


def flux_2() -> Any:
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * 16,
        timestep_guidance_channels=32,
        axes_dims_rope=(4, 4, 4, 4),
    )
    text = {
        "model_type": "mistral",
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 30,  # the pipeline reads layers 10, 20 and 30
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
    eyes = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 8,
        "image_size": 32,
        "patch_size": 8,
    }
    config = transformers.Mistral3Config(text_config=text, vision_config=eyes)
    tokenizer = word_tokenizer()
    tokenizer.chat_template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{{ part['text'] }} {% endfor %}{% endfor %}"
    )
    picture_vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(32, 64),
        decoder_block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
    )
    return diffusers.Flux2Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=picture_vae,
        text_encoder=transformers.Mistral3ForConditionalGeneration(config),
        tokenizer=tokenizer,
        transformer=transformer,
    )


def stable_diffusion_3() -> Any:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32,
        patch_size=1,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=64,
    )
    encoder = "CLIPTextModelWithProjection"
    return diffusers.StableDiffusion3Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(16, shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False),
        text_encoder=clip_encoder(kind=encoder),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_encoder(kind=encoder),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5_encoder(),
        tokenizer_3=word_tokenizer(),
        transformer=transformer,
    )


def chroma() -> Any:
    transformer = diffusers.ChromaTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8,
        approximator_hidden_dim=32,
        approximator_layers=1,
    )
    return diffusers.ChromaPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(4, shift_factor=0.0609, scaling_factor=1.5035),
        text_encoder=t5_encoder(),
        tokenizer=word_tokenizer(),
        transformer=transformer,
    )


def qwen_encoder(**marks: int) -> Any:
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 64,
        "rope_scaling": {"type": "default", "mrope_section": [1, 1, 2]},
        "rope_theta": 1e6,
    }
    eyes = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 16,
    }
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=eyes, **marks)
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def qwen_image() -> Any:
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(8, 4, 4),
    )
    picture_vae = diffusers.AutoencoderKLQwenImage(
        base_dim=24,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    return diffusers.QwenImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=picture_vae,
        text_encoder=qwen_encoder(),
        tokenizer=word_tokenizer(),
        transformer=transformer,
    )


def qwen_image_edit() -> Any:
    tokenizer = word_tokenizer()
    marks = {"image_token_id": "<|image_pad|>", "vision_start_token_id": "<|vision_start|>"}
    tokenizer.add_tokens([*marks.values(), "<|video_pad|>", "<|vision_end|>"], special_tokens=True)
    encoder = qwen_encoder(
        **{name: tokenizer.convert_tokens_to_ids(mark) for name, mark in marks.items()}
    )
    eyes = transformers.Qwen2VLImageProcessorPil()
    parts = qwen_image().components | {"tokenizer": tokenizer, "text_encoder": encoder}
    return diffusers.QwenImageEditPlusPipeline(
        **parts, processor=transformers.Qwen2VLProcessor(eyes, tokenizer)
    )


def z_image() -> Any:
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=16,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=32,
        axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )
    config = transformers.Qwen3Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
    )
    tokenizer = word_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(16, shift_factor=0.1159, scaling_factor=0.3611),
        text_encoder=transformers.Qwen3Model(config),
        tokenizer=tokenizer,
        transformer=transformer,
    )


def wan(kind: str = "WanPipeline", channels: int = 16) -> Any:
    transformer = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels,
        out_channels=16,
        text_dim=32,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    parts = {
        "transformer": transformer,
        "transformer_2": None,
        "vae": diffusers.AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        "scheduler": diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        "text_encoder": t5_encoder("UMT5EncoderModel"),
        "tokenizer": word_tokenizer(),
    }
    if kind == "WanImageToVideoPipeline":
        parts |= {"image_encoder": None, "image_processor": None}
    return getattr(diffusers, kind)(**parts)


def flux_kontext() -> Any:
    return diffusers.FluxKontextPipeline(**flux().components)


def ace_step() -> Any:
    attention = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "sliding_window": 16,
    }
    channels = 4
    text = transformers.Qwen3Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
    )
    return diffusers.AceStepPipeline(
        vae=diffusers.AutoencoderOobleck(
            encoder_hidden_size=8,
            downsampling_ratios=[4, 8],
            channel_multiples=[1, 2],
            decoder_channels=8,
            decoder_input_channels=channels,
            sampling_rate=3200,
        ),
        text_encoder=transformers.Qwen3Model(text),
        tokenizer=word_tokenizer(),
        transformer=diffusers.AceStepTransformer1DModel(
            **attention,
            num_hidden_layers=2,
            in_channels=3 * channels,
            audio_acoustic_hidden_dim=channels,
            is_turbo=True,
        ),
        condition_encoder=diffusers.AceStepConditionEncoder(
            **attention,
            text_hidden_dim=32,
            timbre_hidden_dim=channels,
            num_lyric_encoder_hidden_layers=1,
            num_timbre_encoder_hidden_layers=1,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )


def gemma_encoder() -> Any:
    text = {
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "sliding_window": 16,
    }
    eyes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    config = transformers.Gemma3Config(text_config=text, vision_config=eyes)
    return transformers.Gemma3ForConditionalGeneration(config)


def ltx_2(*, newer: bool = False, layers: int = 1) -> Any:
    """LTX-2, or with `newer` what LTX-2.3 does otherwise."""
    mel_bins = 8
    vocoder = {
        "in_channels": 2 * mel_bins,
        "hidden_channels": 32,
        "upsample_kernel_sizes": [8, 8, 10],
        "upsample_factors": [4, 4, 10],
        "resnet_kernel_sizes": [3],
        "resnet_dilations": [[1, 3]],
        "output_sampling_rate": 16000,
    }
    connector = {"attention_head_dim": 8, "num_layers": 1, "num_learnable_registers": None}
    connectors = {
        f"{side}_connector_{name}": value
        for side in ("video", "audio")
        for name, value in connector.items()
    }
    return diffusers.LTX2Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, shift_terminal=0.1
        ),
        vae=diffusers.AutoencoderKLLTX2Video(
            latent_channels=4,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 16, 32),
            layers_per_block=(1,) * 5,
            decoder_layers_per_block=(1,) * 4,
            spatial_compression_ratio=32,
            temporal_compression_ratio=8,
        ),
        audio_vae=diffusers.AutoencoderKLLTX2Audio(
            base_channels=4,
            ch_mult=(1, 2, 4),
            num_res_blocks=1,
            resolution=32,
            latent_channels=2,
            mel_bins=mel_bins,
        ),
        text_encoder=gemma_encoder(),
        tokenizer=word_tokenizer(),
        connectors=pipelines_ltx2.LTX2TextConnectors(
            caption_channels=16,
            text_proj_in_factor=3,
            video_connector_num_attention_heads=2,
            audio_connector_num_attention_heads=1 if newer else 2,
            per_modality_projections=newer,
            proj_bias=newer,
            video_hidden_dim=16,
            audio_hidden_dim=8,
            rope_type="split",
            **connectors,
        ),
        transformer=diffusers.LTX2VideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            audio_in_channels=4,
            audio_out_channels=4,
            audio_num_attention_heads=2,
            audio_attention_head_dim=4,
            audio_cross_attention_dim=8,
            num_layers=layers,
            caption_channels=16,
            rope_type="split",
            gated_attn=newer,
            audio_gated_attn=newer,
            cross_attn_mod=newer,
            audio_cross_attn_mod=newer,
            perturbed_attn=newer,
            use_prompt_embeddings=not newer,
        ),
        vocoder=pipelines_ltx2.LTX2Vocoder(**vocoder),
    )


def wan_from_picture() -> Any:
    return wan("WanImageToVideoPipeline", channels=36)


FAMILIES: dict[str, Callable[[], Any]] = {
    "sd-v1-5": stable_diffusion,
    "sd_xl_base_1.0": stable_diffusion_xl,
    "sd3.5_medium": stable_diffusion_3,
    "flux1-dev-fp8": flux,
    "flux1-dev-kontext_fp8_scaled": flux_kontext,
    "flux2_dev_fp8": flux_2,
    "chroma1-hd_fp8_scaled": chroma,
    "qwen_image_2512_fp8": qwen_image,
    "qwen_image_edit_2511_fp8": qwen_image_edit,
    "z_image_bf16": z_image,
    "wan_v2.2-14b-fp8_t2v": wan,
    "wan_v2.2-14b-fp8_i2v": wan_from_picture,
    "ltx2-19b-fp8_t2v_distilled": ltx_2,
    "ltx23-22b-fp8_i2v_distilled": lambda: ltx_2(newer=True),
    "ltx23-22b-fp8_t2v_dev": lambda: ltx_2(newer=True, layers=29),  # its guidance skips the 29th
    "ace_step_1.5_xl_turbo": ace_step,
}
"""Catalogue id to what makes its pipeline."""


def _of_chance(net: Any) -> Any:
    """Fresh ControlNets change nothing: their last layers are zero."""
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net


def write_control_net(model: str, repository: str, folder: Path) -> None:
    """Writes a ControlNet for a model as its owner keeps it."""
    torch.manual_seed(SEED)
    base = FAMILIES[model]()
    if model.startswith("flux"):
        net = diffusers.FluxControlNetModel.from_config(
            {**base.transformer.config, "num_layers": 1, "num_single_layers": 0, "num_mode": 7}
        )
    elif model.startswith("sd3"):
        net = diffusers.SD3ControlNetModel.from_transformer(
            base.transformer, num_layers=1, num_extra_conditioning_channels=0
        )
    else:
        net = diffusers.ControlNetModel.from_unet(
            base.unet, conditioning_embedding_out_channels=(16, 32)
        )
    _of_chance(net).save_pretrained(folder / "controlnets" / repository.partition("/")[2])


def write(model: str, folder: Path) -> None:
    """Writes a model's weights to `folder/model`."""
    torch.manual_seed(SEED)
    FAMILIES[model]().save_pretrained(folder / model, safe_serialization=True)
