"""Fully connected CRF: sharpens label probabilities along a picture's edges."""

from deeplax.crf.mean_field import DEEPLAB_V1, DEEPLAB_V2, dense_crf

__all__ = ['DEEPLAB_V1', 'DEEPLAB_V2', 'dense_crf']
