"""One run, from its settings to its verdict: configuration, data, random numbers, game, and the loop.

Here belong the settings (``config``, ``presets``), what is read and drawn (``data``, ``units``, ``draws``),
what is trained (``steps``, ``experiment``), what is read off it (``metrics``) and the loop (``trainer``,
``signals``). Not here: the game and its mathematics (``gan``), how files are written (``storage``), many runs
(``sweeps``), and what a person sees (``reports``, ``cli``).
"""
