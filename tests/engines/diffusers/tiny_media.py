"""Tiny pipelines of the families that make videos and music."""

from typing import Any

import diffusers
import transformers
from diffusers.pipelines import ltx2 as pipelines_ltx2

from tests.engines.diffusers import tiny_parts


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
        "text_encoder": tiny_parts.t5_encoder("UMT5EncoderModel"),
        "tokenizer": tiny_parts.word_tokenizer(),
    }
    if kind == "WanImageToVideoPipeline":
        parts |= {"image_encoder": None, "image_processor": None}
    return getattr(diffusers, kind)(**parts)


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
        tokenizer=tiny_parts.word_tokenizer(),
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
        tokenizer=tiny_parts.word_tokenizer(),
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
