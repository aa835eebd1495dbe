"""Dense networks on the engine: layers, initialisers, parameters in one flat buffer, optimisers, schedules, averages."""
