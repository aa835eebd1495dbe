"""Dense networks on the engine: layers, initialisers, flat parameters, optimisers, schedules, averages.

Here belongs what any network needs that is trained; derivatives belong to ``engine``, what makes two networks
play a game to ``gan``.
"""

__all__ = ["initializers", "layers", "network", "optim", "parameters", "schedules"]
