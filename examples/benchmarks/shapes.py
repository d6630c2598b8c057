"""Shapes of Gemma 3 for random weights, as KerasHub's arguments."""

GEMMA3_270M = dict(
    vocabulary_size=262144,
    image_size=896,
    num_layers=18,
    num_query_heads=4,
    num_key_value_heads=1,
    hidden_dim=640,
    intermediate_dim=2048,
    head_dim=256,
    use_query_key_norm=True,
    use_post_ffw_norm=True,
    use_post_attention_norm=True,
    use_sliding_window_attention=True,
    sliding_window_size=512,
)
SHAPES = {
    "270m": GEMMA3_270M,
    "1b": {
        **GEMMA3_270M,
        "num_layers": 26,
        "hidden_dim": 1152,
        "intermediate_dim": 6912,
    },
    "tiny": {
        **GEMMA3_270M,
        "vocabulary_size": 4096,
        "num_layers": 12,
        "hidden_dim": 64,
        "intermediate_dim": 128,
        "head_dim": 32,
    },
}
