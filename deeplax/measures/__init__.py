"""What an evaluation can say beyond the confusion matrix of the split.

A measure is a module with two functions: one counts in a single picture, in
integers that add up over pictures and processes without rounding, and one
divides once, at the end.
"""

from deeplax.measures.gathered import Measures

__all__ = ['Measures']
