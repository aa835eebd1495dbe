"""Dense networks on the engine: layers, initialisers, flat parameters, optimisers, schedules, averages."""
