"""Parts that tiny pipelines of several families have: tokenizers, text encoders, a decoder."""

from typing import Any

import diffusers
import tokenizers
import transformers

WORDS = ["a", "fox", "red", "blue", "sea", "walk", "by", "the"]


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
