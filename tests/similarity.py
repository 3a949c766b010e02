"""A picture to its similarity with an item, as other libraries take a model."""

from __future__ import annotations

import torch


class Similarity(torch.nn.Module):
    """Picture to cosine, from the checkpoint's tensors; what libraries take for a classifier."""

    def __init__(self, encoder, checkpoint, item):
        super().__init__()
        self.encoder = encoder
        modality = checkpoint.modalities["image"]
        self.weight, self.bias = modality.projection_weight, modality.projection_bias
        self.item = checkpoint.item_embeddings[item]

    def forward(self, pixels):
        z = self.encoder.encode_image(pixels) @ self.weight.T + self.bias
        return (z @ self.item / (z.norm(dim=-1) * self.item.norm()))[:, None]


def token_maps(tokens):
    """A class token and a square of patches, as feature maps."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].permute(0, 2, 1).reshape(len(tokens), -1, side, side)
