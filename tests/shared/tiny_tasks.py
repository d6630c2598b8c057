"""Tasks that have more than their backbone has: a setting, or a head."""

import keras
from keras_hub import models
from tiny_models import GEMMA3
from tiny_models import drawn_by_numpy
from tiny_models import randomize


@keras.saving.register_keras_serializable("keras_grow_tests")
class TinyClassifier(models.Task):
    """A task of a user's own, whose head has weights of its own."""

    backbone_cls = models.Gemma3Backbone

    def __init__(self, backbone, preprocessor=None, num_classes=3, **kwargs):
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.score = keras.layers.Dense(num_classes, name="score")
        inputs = backbone.input
        super().__init__(
            inputs=inputs,
            outputs=self.score(backbone(inputs)[:, 0]),
            **kwargs,
        )
        self.num_classes = num_classes

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


def tiny_classifier(seed=0, num_classes=5):
    """A classifier over a tiny Gemma 3, with random weights."""
    return _over_text(TinyClassifier, seed, num_classes=num_classes)


def tiny_embedder(seed=0):
    """KerasHub's text embedder over a tiny Gemma 3, which takes the mean."""
    embedder = models.Gemma3TextEmbedder
    return _over_text(embedder, seed, pooling_mode="mean", normalize=False)


def _over_text(task, seed, **options):
    config = {**GEMMA3, "image_size": None, "num_layers": 1}
    with drawn_by_numpy():
        backbone = models.Gemma3Backbone(**config, dtype="float32")
        model = task(backbone=backbone, preprocessor=None, **options)
    return randomize(model, seed)
