"""Cosine similarity of embeddings, as products of unit vectors."""

import numpy as np
from numpy.typing import NDArray


def unit(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale embeddings (..., D) to length 1; zero vectors stay zero.

    The product of two scaled embeddings is their cosine similarity.
    """
    norm = np.linalg.norm(embedding, axis=-1, keepdims=True)
    scaled: NDArray[np.float32] = embedding / np.maximum(norm, np.finfo(np.float32).tiny)
    return scaled
