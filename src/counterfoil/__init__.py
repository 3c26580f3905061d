"""Real-time fraud and money-laundering detection: one definition, exact windows, decisions you can perform again.

Read ``detector.py`` first: the frozen definition of a detector. ``events`` holds what flows, ``features`` and ``rules``
what is made of it, ``decisions`` what comes out, ``runtimes`` what carries batches through, ``cli`` the commands.
"""

from counterfoil.compiled import keep_kernels

keep_kernels()
