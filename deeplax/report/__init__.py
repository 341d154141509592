"""The evaluation report: one HTML file that needs nothing else.

Written after an evaluation, and of several runs side by side from what their
evaluations have left; no network runs for it.
"""

from deeplax.report.publish import compare, write

__all__ = ['compare', 'write']
