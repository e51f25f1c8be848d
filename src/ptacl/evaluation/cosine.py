"""Cosine similarity of embeddings: products of unit vectors."""

import numpy as np
from numpy.typing import NDArray


def unit(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Embeddings (..., D) scaled to length 1, so that their products are cosines; a zero stays zero."""
    norm = np.linalg.norm(embedding, axis=-1, keepdims=True)
    scaled: NDArray[np.float32] = embedding / np.maximum(norm, np.finfo(np.float32).tiny)
    return scaled
