"""Adversarial training: the game of two networks, and what is known of its state.

Here belongs what is added to networks to make them play: ``game``, the tables that it chooses from
(``objectives``, ``penalties``, ``orders``), ``detectors`` of what can go wrong, and in ``theory/`` what is
proved. Networks and optimisers belong to ``nn``, how a fit is judged to ``evaluation``, a run with its data,
settings and files to ``training``.
"""

__all__ = ["detectors", "game", "objectives", "orders", "penalties", "theory"]
