"""Tiny pipelines of the families that make pictures."""

from typing import Any

import diffusers
import transformers

from tests.engines.diffusers import tiny_parts


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
        vae=tiny_parts.vae(),
        text_encoder=tiny_parts.clip_encoder(),
        tokenizer=tiny_parts.clip_tokenizer(),
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
        vae=tiny_parts.vae(),
        text_encoder=tiny_parts.clip_encoder(),
        text_encoder_2=tiny_parts.clip_encoder(kind="CLIPTextModelWithProjection"),
        tokenizer=tiny_parts.clip_tokenizer(),
        tokenizer_2=tiny_parts.clip_tokenizer(),
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
        text_encoder=tiny_parts.clip_encoder(),
        text_encoder_2=tiny_parts.t5_encoder(),
        tokenizer=tiny_parts.clip_tokenizer(),
        tokenizer_2=tiny_parts.word_tokenizer(),
        transformer=transformer,
        vae=tiny_parts.vae(4, shift_factor=0.0609, scaling_factor=1.5035),
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
    tokenizer = tiny_parts.word_tokenizer()
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
        vae=tiny_parts.vae(16, shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False),
        text_encoder=tiny_parts.clip_encoder(kind=encoder),
        tokenizer=tiny_parts.clip_tokenizer(),
        text_encoder_2=tiny_parts.clip_encoder(kind=encoder),
        tokenizer_2=tiny_parts.clip_tokenizer(),
        text_encoder_3=tiny_parts.t5_encoder(),
        tokenizer_3=tiny_parts.word_tokenizer(),
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
        vae=tiny_parts.vae(4, shift_factor=0.0609, scaling_factor=1.5035),
        text_encoder=tiny_parts.t5_encoder(),
        tokenizer=tiny_parts.word_tokenizer(),
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
        tokenizer=tiny_parts.word_tokenizer(),
        transformer=transformer,
    )


def qwen_image_edit() -> Any:
    tokenizer = tiny_parts.word_tokenizer()
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
    tokenizer = tiny_parts.word_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=tiny_parts.vae(16, shift_factor=0.1159, scaling_factor=0.3611),
        text_encoder=transformers.Qwen3Model(config),
        tokenizer=tokenizer,
        transformer=transformer,
    )


def flux_kontext() -> Any:
    return diffusers.FluxKontextPipeline(**flux().components)
